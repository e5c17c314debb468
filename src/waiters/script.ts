import { acquireOperation } from "../lock/acquire-operation.ts";
import { agreeOperation, armOperation } from "../lock/arm-operation.ts";
import { extendOperation } from "../lock/extend-operation.ts";
import { fastPath } from "../lock/fast-path.ts";
import { LOCK_LUA } from "../lock/lock-lua.ts";
import { readOperation } from "../lock/read-operation.ts";
import { readSlotsOperation } from "../lock/read-slots-operation.ts";
import { releaseOperation } from "../lock/release-operation.ts";
import { scanOperation } from "../lock/scan-operation.ts";
import { composeScript } from "../redis/script.ts";
import { cancelOperation, requestOperation } from "./cancel-operation.ts";
import { dueOperation } from "./due-operation.ts";
import { HOOKS_LUA } from "./hooks-lua.ts";
import { joinOperation } from "./join-operation.ts";
import { moveOperation } from "./move-operation.ts";
import { NEWEST_LUA } from "./newest-lua.ts";
import { QUEUES_LUA } from "./queues-lua.ts";
import { pageOperation, sizesOperation } from "./repair-operations.ts";
import { RESERVATIONS_LUA } from "./reservations-lua.ts";
import { serveOperation } from "./serve-operation.ts";
import { WAIT_LIST_LUA } from "./wait-list-lua.ts";

/** The functions that the operations of locks and of wait lists use. */
export const LOCK_PRELUDE =
  LOCK_LUA + QUEUES_LUA + WAIT_LIST_LUA + RESERVATIONS_LUA + NEWEST_LUA + HOOKS_LUA;

/** Everything that a lock master executes for us. */
export const lockOperations = [
  armOperation,
  agreeOperation,
  acquireOperation,
  extendOperation,
  releaseOperation,
  readOperation,
  readSlotsOperation,
  scanOperation,
  joinOperation,
  moveOperation,
  serveOperation,
  dueOperation,
  sizesOperation,
  pageOperation,
  cancelOperation,
  requestOperation,
] as const;

/** The script of a lock master: locks from below, and the wait lists that their hooks serve. */
export const lockScript = composeScript(LOCK_PRELUDE, lockOperations, fastPath);
