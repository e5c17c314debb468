export { RedlockAdapter, type RedlockAdapterOptions } from "./adapter.ts";
