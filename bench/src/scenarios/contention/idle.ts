import { setTimeout as delay } from "node:timers/promises";
import { Queue } from "bullmq";
import { CONTENDERS, OURS, PLAIN } from "../../contenders.ts";
import { CountedMasters } from "../../counted-masters.ts";
import { ownCpu } from "../../cpu.ts";
import { fill, jobsOf } from "../../jobs/load.ts";
import { Shift } from "../../jobs/shift.ts";
import { POLLING } from "../../jobs/wrappings.ts";
import type { Scenario } from "../../scenario.ts";

const WAITERS = 10_000;
const SLOTS = 10;
/** Milliseconds of the measurement. */
const DURATION = 10_000;
/** Milliseconds before it, when all have tried. */
const SETTLING = 3_000;

/** What it costs when many wait and nothing happens. */
export const idle: Scenario = {
  name: "idle",
  title: `${WAITERS.toLocaleString("en")} jobs wait for one key, and nothing happens`,
  text:
    `Another client holds the key and extends it. When all ${WAITERS.toLocaleString("en")} jobs of one worker have tried, requests of its process are ` +
    `counted for ${DURATION / 1_000} s by a proxy, one at the masters and one at the queue's Redis. What BullMQ itself asks is among the latter.`,
  nodes: 4,
  rounds: 1,
  contenders: [POLLING, OURS],
  columns: [
    { figure: "atEachMaster", title: "requests/s at each master", digits: 1 },
    { figure: "atQueue", title: "requests/s at the queue's Redis", digits: 1 },
    { figure: "cpu", title: "client CPU, ms/s", digits: 1 },
  ],
  goals: [
    {
      text: "10,000 parked jobs, nothing happens: requests/s at each master",
      figure: "atEachMaster",
      most: 10,
    },
  ],
  prepare: async (contender, [queueUrl = "", ...masters]) => ({
    async run() {
      using countedQueue = await CountedMasters.start([queueUrl]);
      using countedMasters = await CountedMasters.start(masters);
      const holder = CONTENDERS[contender === OURS ? OURS : PLAIN]?.(masters);
      const hold = await holder?.hold("idle");
      const name = `idle-${contender.replaceAll(/\W+/g, "-")}`;
      const queue = new Queue(name, { connection: { url: queueUrl } });
      await fill(
        queue,
        jobsOf(WAITERS, 0, () => "idle"),
      );
      const shift = Shift.of(contender, countedMasters.urls, {
        queues: [name],
        connection: { url: countedQueue.urls[0] ?? "" },
        concurrency: SLOTS,
      });
      await shift.ready();
      shift.start();
      // Jobs that poll are never all delayed, and parked ones not all taken up.
      await shift.until(
        async () => shift.activations >= WAITERS || (await queue.getDelayedCount()) >= WAITERS,
      );
      await delay(SETTLING);
      const before = [await countedMasters.requests(), await countedQueue.requests()] as const;
      const cpu = ownCpu();
      await delay(DURATION);
      const used = ownCpu() - cpu;
      const atMasters = (await countedMasters.requests()) - before[0];
      const atQueue = (await countedQueue.requests()) - before[1];
      const seconds = DURATION / 1_000;
      await shift.stop();
      await queue.close();
      await hold?.release();
      await holder?.close();
      return {
        atEachMaster: atMasters / masters.length / seconds,
        atQueue: atQueue / seconds,
        cpu: used / seconds,
      };
    },
    close: async () => {},
  }),
};
