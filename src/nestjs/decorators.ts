import { Inject } from "@nestjs/common";
import type { Job } from "bullmq";
import type { Lock } from "../lock/lock.ts";
import type {
  ConflictPolicy,
  MaxWaitPolicy,
  ResultIn,
  SkippedResult,
  SkippedUnder,
  WithLockOptions,
} from "../bullmq/options.ts";
import type { LockingProcessor } from "../bullmq/with-lock.ts";
import { refuseValue, wrongOption } from "../check-options.ts";
import type { CheckTemplate } from "../keys/template-types.ts";
import { Redlock } from "../redlock/redlock.ts";
import { WRAP, type Wrap } from "./wrap.ts";

/** The path in errors. */
const PATH = "@WithLock()";

/** Options of {@link WithLock}: those of `withLock` but for `redlock`, which the `RedlockModule` has. */
export type LockedMethodOptions<
  J extends Job = Job,
  K extends string = string,
  C extends ConflictPolicy = ConflictPolicy,
  M extends MaxWaitPolicy = MaxWaitPolicy,
  S = J["returnvalue"],
> = Omit<WithLockOptions<J, K, C, M, S>, "redlock">;

/**
 * Decorates a method whose first parameter is a job of the type `J`, with the data that the key template `K` names, and whose
 * result may be `S`, which a job completes with instead of having run.
 */
export type LockedMethodDecorator<J extends Job = Job, K extends string = string, S = never> = <
  M extends (job: never, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<unknown>,
>(
  target: object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & MethodProblem<M, J, K, S>,
) => void;

/** The reason why a method cannot be decorated, for the compiler to show; `unknown` for a method that can. */
type MethodProblem<M, J extends Job, K extends string, S> = M extends (
  job: infer Own,
  ...rest: never[]
) => Promise<infer R>
  ? [Own] extends [J]
    ? [S] extends [ResultIn<R>]
      ? CheckTemplate<K, Own["data"]>
      : { "the result must include that of a job that is skipped": S }
    : { "the first parameter must be a job that the options are for": J }
  : never;

/**
 * Locks a method that processes jobs, usually `process` of a `@Processor`, as `withLock` does: no two jobs with the same key run
 * at the same time. Options are checked when Nest makes the instance.
 *
 * The method gets the job, BullMQ's token, the signal and the lock; `getLock(job)` gives the lock too. A method other than
 * `process` must be called with the job, the token and the signal. Where a policy may skip a job, the method's result must
 * include what the job completes with then, such as `Promise<number | SkippedResult>`.
 *
 * @param options as for `withLock`; without them the rules of the `RedlockModule` say what to lock.
 * @throws {LockConfigError} when the application starts, for an option that cannot work, and for rules that are missing.
 * @example
 * @Processor("charges")
 * class ChargesProcessor extends WorkerHost {
 *   @WithLock({ key: "account:{{data.accountId}}" })
 *   async process(job: Job<Charge>) {
 *     const { fencingToken, signal } = getLock(job);
 *   }
 * }
 */
export function WithLock<
  J extends Job = Job,
  const K extends string = string,
  C extends ConflictPolicy = "delay",
  M extends MaxWaitPolicy = "fail",
  S = SkippedResult,
>(
  options?: LockedMethodOptions<J, K, C, M, S>,
): LockedMethodDecorator<J, K, SkippedUnder<C, M, NoInfer<S>>> {
  // The compiler has checked the options against the jobs of the method.
  const given = options as LockedMethodOptions | undefined;
  return (target, property, descriptor: { value?: unknown } | undefined) => {
    const method = descriptor?.value;
    if (descriptor === undefined || typeof method !== "function") {
      throw wrongOption(PATH, method, "a method, compiled with experimentalDecorators");
    }
    const processors = new WeakMap<object, LockingProcessor>();
    // Nest sets the property of each instance that it makes, also for one request; when it cannot, its error shows the name.
    const slot = Symbol(
      `RedlockModule.forRoot(...), imported once, for @WithLock() on ${String(property)}()`,
    );
    Object.defineProperty(target, slot, {
      set(this: object, wrap: Wrap) {
        const process = async (...args: unknown[]) => (await method.apply(this, args)) as unknown;
        processors.set(this, wrap(given, process));
      },
    });
    Inject(WRAP)(target, slot);
    // BullMQ gives the signal only to a function that declares three plain parameters.
    descriptor.value = async function (
      this: object,
      job: Job,
      jobToken?: string,
      signal?: AbortSignal,
    ) {
      const processor = processors.get(this);
      if (processor === undefined) {
        const found = `a ${this.constructor.name} that was not made by Nest`;
        refuseValue(PATH, found, "a provider of an application with RedlockModule");
      }
      return (await processor(job, jobToken, signal)) as unknown;
    };
  };
}

/** Injects the `Redlock` of the `RedlockModule`; its token is the class `Redlock`. */
export function InjectRedlock(): ReturnType<typeof Inject> {
  return Inject(Redlock);
}
