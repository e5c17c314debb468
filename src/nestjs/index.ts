export {
  InjectRedlock,
  type LockedMethodDecorator,
  type LockedMethodOptions,
  WithLock,
} from "./decorators.ts";
export {
  RedlockModule,
  type RedlockModuleAsyncOptions,
  type RedlockModuleOptions,
} from "./redlock-module.ts";
