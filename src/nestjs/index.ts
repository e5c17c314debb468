export {
  InjectRedlock,
  type LockedMethodDecorator,
  type LockedMethodOptions,
  type MethodProblem,
  WithLock,
} from "./decorators.ts";
export {
  RedlockModule,
  type RedlockModuleAsyncOptions,
  type RedlockModuleOptions,
} from "./redlock-module.ts";
