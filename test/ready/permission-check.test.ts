import { expect, it } from "vitest";
import { agreeOperation } from "../../src/lock/arm-operation.ts";
import { readSlotsOperation } from "../../src/lock/read-slots-operation.ts";
import { lockOperations } from "../../src/waiters/script.ts";
import { moveOperation } from "../../src/waiters/move-operation.ts";
import { namesUnder } from "../../src/lock/stored-lock.ts";
import { probingRequests } from "../../src/ready/permission-check.ts";

it("tries every operation of the script but those with the commands of another", () => {
  const tried = probingRequests(namesUnder("p:"), "owner", true).map(
    ({ operation }) => operation.name,
  );
  const untried = lockOperations.map(({ name }) => name).filter((name) => !tried.includes(name));
  // They use the commands of "arm", of "read" and of "join".
  const others = [agreeOperation, readSlotsOperation, moveOperation].map(({ name }) => name);
  expect(untried).toEqual(others);
});
