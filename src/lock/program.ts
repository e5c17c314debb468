import { composeProgram } from "../redis/operation.ts";
import { agreeOperation, armOperation } from "./arming.ts";
import { cancelOperation, requestOperation } from "./cancelling.ts";
import { readOperation, scanOperation } from "./looking.ts";
import { LINE_PRELUDE } from "./line-script.ts";
import { dueOperation } from "./due-keys.ts";
import { joinOperation, serveOperation } from "./lining.ts";
import { acquireOperation } from "./acquiring.ts";
import { fastPath } from "./fast-path.ts";
import { extendOperation } from "./extending.ts";
import { releaseOperation } from "./releasing.ts";
import { PRELUDE } from "./stored.ts";

/** All that a lock master executes for us. */
export const lockProgram = composeProgram(
  PRELUDE + LINE_PRELUDE,
  [
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
  ],
  fastPath,
);
