export { type HandleOptions, RedlockHandle } from "./handle.ts";
