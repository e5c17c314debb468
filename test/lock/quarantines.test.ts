import { expect, it, vi } from "vitest";
import { Quarantines } from "../../src/lock/quarantines.ts";
import { simulate } from "../support/simulated-redlock.ts";

it("reports a master again that loses its memory once more within its quarantine", async () => {
  const { clock } = simulate(3);
  const quarantined = vi.fn();
  const quarantines = new Quarantines(3, 2, clock, { quarantined, noQuorum: vi.fn() });
  quarantines.note(0, 20_000);
  await clock.pass(10_000);
  quarantines.note(0, 10_010);
  expect(quarantined).toHaveBeenCalledOnce();
  quarantines.note(0, 20_000);
  expect(quarantined.mock.calls).toEqual([
    [0, 20_000],
    [0, 20_000],
  ]);
});
