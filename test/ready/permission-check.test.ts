import { expect, it } from "vitest";
import { agreeOperation } from "../../src/lock/arm-operation.ts";
import { lockOperations } from "../../src/waiters/script.ts";
import { namesUnder } from "../../src/lock/stored-lock.ts";
import { probingRequests } from "../../src/ready/permission-check.ts";

it("tries every operation of the script but one with the commands of another", () => {
  const tried = probingRequests(namesUnder("p:"), "owner", true).map(
    ({ operation }) => operation.name,
  );
  const untried = lockOperations.map(({ name }) => name).filter((name) => !tried.includes(name));
  // It writes the guard as "arm" does.
  expect(untried).toEqual([agreeOperation.name]);
});
