import * as timers from "node:timers";

/**
 * Timers of real time, under fake timers too: those replace the global functions, and the properties of the module that a
 * later look-up would find.
 */
export const { clearTimeout, setImmediate, setTimeout } = timers;
