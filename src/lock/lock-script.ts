import { composeScript } from "../redis/operation.ts";
import { agreeOperation, armOperation } from "./arm-operation.ts";
import { cancelOperation, requestOperation } from "./cancel-operation.ts";
import { readOperation, scanOperation } from "./read-operation.ts";
import { WAIT_LIST_PRELUDE } from "./wait-list-script.ts";
import { dueOperation } from "./due-operation.ts";
import { joinOperation, serveOperation } from "./wait-list-operations.ts";
import { acquireOperation } from "./acquire-operation.ts";
import { fastPath } from "./fast-path.ts";
import { extendOperation } from "./extend-operation.ts";
import { releaseOperation } from "./release-operation.ts";
import { PRELUDE } from "./stored-lock.ts";

/** The Lua functions that operations share. */
export const lockPrelude = PRELUDE + WAIT_LIST_PRELUDE;

/** All operations of a lock master. */
export const lockOperations = [
  armOperation,
  agreeOperation,
  acquireOperation,
  extendOperation,
  releaseOperation,
  readOperation,
  scanOperation,
  joinOperation,
  serveOperation,
  dueOperation,
  cancelOperation,
  requestOperation,
] as const;

/** The script that a lock master executes. */
export const lockScript = composeScript(lockPrelude, lockOperations, fastPath);
