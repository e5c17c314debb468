import type { OpenClient } from "./contender.ts";
import { openLowerBound } from "./contenders/lower-bound.ts";
import { openOurs } from "./contenders/ours.ts";
import { openRedisSemaphore } from "./contenders/redis-semaphore.ts";
import { openRedlockUniversal } from "./contenders/redlock-universal.ts";
import { openRedlock } from "./contenders/redlock.ts";

/** What everything is compared with. */
export const PLAIN = "lower bound";
export const PIPELINED = "lower bound, autopipelining";
export const OURS = "bullmq-redlock";

/** All that is measured, in the order of the tables. */
export const CONTENDERS: Readonly<Record<string, OpenClient>> = {
  [PLAIN]: (urls) => openLowerBound(urls, false),
  [PIPELINED]: (urls) => openLowerBound(urls, true),
  [OURS]: openOurs,
  redlock: openRedlock,
  "redlock-universal": openRedlockUniversal,
  "redis-semaphore": openRedisSemaphore,
};
