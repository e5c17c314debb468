import { Redlock, type RedlockOptions } from "../../../src/index.ts";

/** Waits for the key "k" several times at once, and reports when each call is waiting or has had the key. */
const { options, count } = JSON.parse(process.argv[2]!) as {
  options: RedlockOptions;
  count: number;
};

const redlock = new Redlock(options);
redlock.on("conflict", () => process.send?.("waiting"));
for (let call = 0; call < count; call++) {
  void redlock.using("k", { waitTimeout: 60_000 }, () => void process.send?.("granted"));
}
