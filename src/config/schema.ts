import * as v from "valibot";
import { LOCK_DATA_OPTIONS } from "../bullmq/lock-settings.ts";
import type { DataOption } from "../data-option.ts";
import { LARGEST_LIMIT, LIMIT_EXPECTED, MAX_KEYS } from "../keys/normalise.ts";
import { KNOWN_IN_NODE } from "../redis/node-options.ts";
import { REDLOCK_OPTIONS } from "../redlock/options.ts";
import { DURATION_EXPECTED, DURATION_FORM } from "./duration.ts";
import { PATTERN_EXPECTED, PATTERN_FORM, QUEUE_FORM } from "./pattern.ts";

/** The expectations of messages. */
export const EXPECTED = {
  rules: "a list of rules, each with a key; the first that matches counts",
  rule: 'a rule, such as { queue: "invoices", key: "account:{{data.accountId}}" }',
  key: 'a template such as "account:{{data.accountId}}", a list of them, or null for jobs that need no lock',
  conditions: "paths with what they must be, such as { data.ref: refs/heads/main }",
  condition: "a text, a pattern, a number, true, false or null, or a list of them",
  nodes: "a list of lock masters, best three or five",
  node: 'a URL such as "redis://lock-1:6379", or an object with host, port and more',
  file: "nodes and rules",
} as const;

/** Of the one ratio there is, `driftFactor`. */
const RATIO = `a number from 0 to ${REDLOCK_OPTIONS.driftFactor.max}`;
const LIMIT = `${LIMIT_EXPECTED}, or a template of one`;
const OR_FALSE = `${DURATION_EXPECTED}; or false for none`;

const VALUES: Record<Extract<DataOption["takes"], string>, v.GenericSchema> = {
  duration: union(DURATION_EXPECTED, duration(DURATION_EXPECTED)),
  "duration or false": union(OR_FALSE, {
    ...duration(OR_FALSE),
    boolean: v.literal(false, OR_FALSE),
  }),
  ratio: v.pipe(
    v.number(RATIO),
    v.minValue(0, RATIO),
    v.maxValue(REDLOCK_OPTIONS.driftFactor.max, RATIO),
  ),
  "count or template": union(LIMIT, {
    number: v.pipe(
      v.number(LIMIT),
      v.integer(LIMIT),
      v.minValue(1, LIMIT),
      v.maxValue(LARGEST_LIMIT, LIMIT),
    ),
    string: v.string(LIMIT),
  }),
  text: v.string("a text"),
};

const pattern = (form: RegExp) =>
  v.pipe(
    v.string(PATTERN_EXPECTED),
    v.minLength(1, PATTERN_EXPECTED),
    v.regex(form, PATTERN_EXPECTED),
  );
/** The form of a path into a job; the reader of conditions reports its problems. */
const PATH_FORM = /^(?:(?:data|opts)(?:[.[].*)?|name|id|queueName)$/;
const { MIN_SAFE_INTEGER: MIN, MAX_SAFE_INTEGER: MAX } = Number;
/** Numbers are compared as texts: larger ones are not exactly the ones that are written. */
const EXACT = `a number from ${MIN} to ${MAX}, or a text in quotes`;
const value = union(EXPECTED.condition, {
  string: v.pipe(v.string(), v.regex(PATTERN_FORM, PATTERN_EXPECTED)),
  number: v.pipe(v.number(EXACT), v.minValue(MIN, EXACT), v.maxValue(MAX, EXACT)),
  boolean: v.boolean(),
  null: v.null(),
});
const conditions = v.pipe(
  noList(
    v.record(
      v.pipe(v.string(), v.regex(PATH_FORM)),
      oneOrMore(value, EXPECTED.condition),
      EXPECTED.conditions,
    ),
  ),
  v.minEntries(1, EXPECTED.conditions),
);

const rule = v.pipe(
  object(
    {
      queue: v.exactOptional(
        described(
          oneOrMore(pattern(QUEUE_FORM), PATTERN_EXPECTED),
          'Queues: a name, a pattern, or any of several; default "*".',
        ),
      ),
      job: v.exactOptional(
        described(
          oneOrMore(pattern(PATTERN_FORM), PATTERN_EXPECTED),
          'Names of jobs: a name, a pattern, or any of several; default "*".',
        ),
      ),
      when: v.exactOptional(
        described(
          conditions,
          "Paths into the job, with the values that they must have: all conditions must hold.",
        ),
      ),
      unless: v.exactOptional(
        described(
          conditions,
          "Paths into the job, with the values that they must not have: no condition may hold.",
        ),
      ),
      key: described(
        v.nullable(oneOrMore(v.string(EXPECTED.key), EXPECTED.key, MAX_KEYS)),
        "A template of the lock key, or several, of which a job locks all or none; null for jobs that need no lock.",
      ),
      ...optionsOf(LOCK_DATA_OPTIONS),
    },
    EXPECTED.rule,
  ),
  v.description("A rule: the jobs that it matches, their lock keys, and options of the lock."),
);

/** Only the names of the parts of a master: the values are checked when their variables have values. */
const partsOfNode = Object.fromEntries(
  KNOWN_IN_NODE.map((name) => [name, v.optional(v.unknown())]),
);
const node = v.union(
  [v.string(EXPECTED.node), v.strictObject(partsOfNode, EXPECTED.node)],
  EXPECTED.node,
);

/** The schema of a rules file. `schema.json` is generated from it. */
export const rulesFileSchema = v.pipe(
  object(
    {
      $schema: v.optional(described(v.string("the address of a schema"), "For editors.")),
      nodes: described(
        v.pipe(v.array(node, EXPECTED.nodes), v.minLength(1, EXPECTED.nodes)),
        "The lock masters. ${NAME} stands for an environment variable, as in prefix.",
      ),
      // A ttl or a heartbeat at the top is that of the Redlock; it is the default of all rules.
      ...optionsOf(LOCK_DATA_OPTIONS),
      ...optionsOf(REDLOCK_OPTIONS),
      rules: described(
        v.pipe(v.array(rule, EXPECTED.rules), v.minLength(1, EXPECTED.rules)),
        "The first rule that matches a job counts.",
      ),
    },
    EXPECTED.file,
  ),
  v.title("bullmq-redlock"),
  v.description("Lock masters, and the rules of the locks of jobs."),
);

/** The names of options at the top of a file, and in a rule. */
export const KNOWN_AT_TOP = Object.keys(rulesFileSchema.entries);
export const KNOWN_IN_RULE = Object.keys(rule.entries);

function oneOrMore<S extends v.GenericSchema>(each: S, expected: string, most = Infinity) {
  const array = v.pipe(v.array(each), v.minLength(1, expected));
  const few = v.pipe(array, v.maxLength(most, `at most ${most} templates`));
  return union(expected, { each, array: most === Infinity ? array : few });
}

/** A union in which the type of a value selects the member, or else `each`, if there is one. */
function union<M extends Record<string, v.GenericSchema>>(expected: string, members: M) {
  const schema = v.union(Object.values(members) as M[keyof M][], expected);
  const run = schema["~run"].bind(schema);
  // Valibot would try all members, and report no element of a list.
  const pick: typeof run = (dataset, config) => {
    const type = Array.isArray(dataset.value) ? "array" : typeof dataset.value;
    const meant = members[type] ?? members["each"];
    return meant === undefined ? run(dataset, config) : meant["~run"](dataset, config);
  };
  return Object.assign(schema, { "~run": pick });
}

function object<E extends v.ObjectEntries>(entries: E, expected: string) {
  return noList(v.strictObject(entries, expected));
}

/** Refuses an array, which valibot takes for an object. */
function noList<S extends v.GenericSchema>(schema: S): S {
  const run = schema["~run"].bind(schema);
  const check: typeof run = (dataset, config) =>
    run(Array.isArray(dataset.value) ? { ...dataset, value: undefined } : dataset, config);
  return Object.assign(schema, { "~run": check });
}

function optionsOf<N extends string>(options: Record<N, DataOption>) {
  const entries = Object.entries<DataOption>(options).map(([name, { takes, says }]) => [
    name,
    v.optional(described(typeof takes === "string" ? VALUES[takes] : oneOf(takes), says)),
  ]);
  return Object.fromEntries(entries) as Record<N, v.OptionalSchema<v.GenericSchema, undefined>>;
}

function oneOf(choices: readonly (string | boolean)[]): v.GenericSchema {
  const expected = `one of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}`;
  const texts = choices.filter((choice) => typeof choice === "string");
  return texts.length === choices.length
    ? v.picklist(texts, expected)
    : v.union(
        choices.map((choice) => v.literal(choice)),
        expected,
      );
}

function duration(expected: string) {
  return {
    number: v.pipe(
      v.number(expected),
      v.integer(expected),
      v.minValue(0, expected),
      v.description("Milliseconds."),
    ),
    string: v.pipe(v.string(), v.regex(DURATION_FORM, expected)),
  };
}

function described<S extends v.GenericSchema>(schema: S, text: string) {
  return v.pipe(schema, v.description(text));
}
