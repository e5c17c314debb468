/** A path of a template that the type of the job's data does not have. */
export interface UnknownPath<Path extends string> {
  "unknown path in key template": Path;
}

/** A path of a template to a value that cannot be part of a key. */
export interface NotAValue<Path extends string> {
  "not a string, number or boolean in key template": Path;
}

/**
 * Checks the paths of a key template against the type of a job's data. The result is `unknown` when they are right, so that
 * `Template & CheckTemplate<Template, Data>` is the template, and otherwise an {@link UnknownPath} or {@link NotAValue}, which
 * the compiler shows.
 *
 * Templates that are no literals, data of type `any` or `unknown`, and all other problems of templates are checked at run time.
 */
export type CheckTemplate<Template extends string, Data> = [Problem<Template, Data>] extends [never]
  ? unknown
  : Problem<Template, Data>;

type Problem<Template extends string, Data> = unknown extends Data
  ? never
  : Template extends `${infer Before}{{${infer Inside}}}${infer After}`
    ? Before extends `${string}\\`
      ? Problem<`${Inside}}}${After}`, Data>
      : ChainProblem<Chain<Trim<Inside>>, Data> | Problem<After, Data>
    : never;

/** The contents of `lower(...)`, or of the braces without it. */
type Chain<Inside extends string> = Inside extends `lower${infer Rest}`
  ? Trim<Rest> extends `(${infer Enclosed})`
    ? Enclosed
    : Inside
  : Inside;

/** Checks each path between operators, up to a default. */
type ChainProblem<Chain extends string, Data> = Chain extends `${infer First}??${infer Rest}`
  ? LinkProblem<Trim<First>, Rest, Data>
  : Chain extends `${infer First}||${infer Rest}`
    ? LinkProblem<Trim<First>, Rest, Data>
    : LinkProblem<Trim<Chain>, undefined, Data>;

type LinkProblem<
  Link extends string,
  Rest extends string | undefined,
  Data,
> = Link extends `${'"' | "'" | "-" | Digit}${string}`
  ? never
  : Link extends `${string}["${infer Tail}` | `${string}['${infer Tail}`
    ? Tail extends `${string}"]${string}` | `${string}']${string}`
      ? PathsProblem<Link, Rest, Data>
      : never // A quoted name with an operator in it is left to the parser.
    : PathsProblem<Link, Rest, Data>;

type PathsProblem<Path extends string, Rest extends string | undefined, Data> =
  | PathProblem<Path, Data>
  | (Rest extends string ? ChainProblem<Rest, Data> : never);

type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

type Trim<Text extends string> = Text extends ` ${infer Rest}`
  ? Trim<Rest>
  : Text extends `${infer Rest} `
    ? Trim<Rest>
    : Text;

type PathProblem<Path extends string, Data> =
  IsPattern<Path> extends true
    ? never
    : Path extends "data" | `data${"." | "["}${string}`
      ? Path extends `data${infer Steps}`
        ? Walk<Data, Steps, Path>
        : never
      : Path extends "name" | "id" | "queueName" | "opts" | `opts${"." | "["}${string}`
        ? never
        : UnknownPath<Path>;

/** Whether a type is `string`, or contains `${string}`. */
type IsPattern<Text extends string> = {} extends Record<Text, unknown> ? true : false;

/** Follows `Steps` from a value of type `Value`; `Path` is only for the message. */
type Walk<Value, Steps extends string, Path extends string> = unknown extends Value
  ? never
  : Steps extends ""
    ? [Extract<Value, Scalar>] extends [never]
      ? NotAValue<Path>
      : never
    : Steps extends `[*]${infer Rest}`
      ? Enter<ElementOf<Value>, Rest, Path>
      : Steps extends `["${infer Name}"]${infer Rest}`
        ? Enter<PropertyOf<Value, Name>, Rest, Path>
        : Steps extends `['${infer Name}']${infer Rest}`
          ? Enter<PropertyOf<Value, Name>, Rest, Path>
          : Steps extends `["${string}` | `['${string}`
            ? never // A quoted name with `}}` in it is left to the parser.
            : Steps extends `[${infer Index}]${infer Rest}`
              ? Enter<ElementOf<Value, Index>, Rest, Path>
              : Steps extends `.${infer Tail}`
                ? NamedStep<Value, FirstName<Tail>, Path>
                : UnknownPath<Path>;

type NamedStep<Value, Split, Path extends string> = Split extends [
  infer Name extends string,
  infer Rest extends string,
]
  ? Enter<PropertyOf<Value, Name>, Rest, Path>
  : never;

/** Splits `items[0].id` into `items` and `[0].id`. */
type FirstName<Tail extends string> = Tail extends `${infer Head}.${infer Rest}`
  ? Head extends `${infer Name}[${infer Bracket}`
    ? [Name, `[${Bracket}.${Rest}`]
    : [Head, `.${Rest}`]
  : Tail extends `${infer Name}[${infer Bracket}`
    ? [Name, `[${Bracket}`]
    : [Tail, ""];

type Enter<Next, Steps extends string, Path extends string> = [Next] extends [
  FoundValue<infer Value>,
]
  ? [Next] extends [never]
    ? UnknownPath<Path>
    : Walk<Value, Steps, Path>
  : never;

/** Distinguishes a member of type `never`, or of type `any`, from a missing one. */
interface FoundValue<Value> {
  value: Value;
}

/** The types of a property, from the members of a union that have it. */
type PropertyOf<Value, Name extends string> = Value extends object
  ? Value extends readonly unknown[]
    ? never
    : Name extends keyof Value
      ? FoundValue<Value[Name]>
      : [keyof Value] extends [never]
        ? FoundValue<unknown>
        : Name extends `${infer Index extends number}`
          ? Index extends keyof Value
            ? FoundValue<Value[Index]>
            : never
          : never
  : never;

/** The type of all elements of an array, or of the element at an index. */
type ElementOf<Value, Index extends string = string> = Value extends readonly unknown[]
  ? number extends Value["length"]
    ? FoundValue<Value[number]>
    : string extends Index
      ? FoundValue<Value[number]>
      : Index extends keyof Value
        ? FoundValue<Value[Index]>
        : never
  : never;

/** A single value when the job is read from JSON: a `Date` is a string there. */
type Scalar = string | number | bigint | boolean | { toJSON(): string };
