import * as v from "valibot";
import { LOCK_DATA_OPTIONS } from "../bullmq/data-options.ts";
import type { DataOption } from "../data-option.ts";
import { KNOWN_IN_NODE } from "../redis/endpoint.ts";
import { REDLOCK_DATA_OPTIONS } from "../redlock/data-options.ts";
import { LARGEST_DRIFT_FACTOR } from "../redlock/options.ts";
import { DURATION_EXPECTED, DURATION_FORM } from "./duration.ts";

/** What is expected where, in words. */
export const EXPECTED = {
  rules: "a list of rules, each with a key; the first that matches counts",
  rule: 'a rule, such as { queue: "invoices", key: "account:{{data.accountId}}" }',
  key: 'a template such as "account:{{data.accountId}}", or null for jobs that need no lock',
  nodes: "a list of lock masters, best three or five",
  node: 'a URL such as "redis://lock-1:6379", or an object with host, port and more',
  glob: 'a name, or a pattern such as "report-*"',
  file: "nodes and rules",
} as const;

const COUNT = "a whole number";
/** Of the one ratio there is, `driftFactor`. */
const RATIO = `a number from 0 to ${LARGEST_DRIFT_FACTOR}`;
const OR_FALSE = `${DURATION_EXPECTED}; or false for none`;

/** What an option takes that has no list of its values. */
const VALUES: Record<Extract<DataOption["takes"], string>, v.GenericSchema> = {
  duration: duration(DURATION_EXPECTED),
  "duration or false": v.union([...duration(OR_FALSE).options, v.literal(false)], OR_FALSE),
  count: v.pipe(v.number(COUNT), v.integer(COUNT), v.minValue(0, COUNT)),
  ratio: v.pipe(v.number(RATIO), v.minValue(0, RATIO), v.maxValue(LARGEST_DRIFT_FACTOR, RATIO)),
  text: v.string("a text"),
  boolean: v.boolean("true or false"),
};

const rule = v.pipe(
  v.strictObject(
    {
      queue: v.optional(described(glob(), 'Queues: a name or a pattern; default "*".')),
      job: v.optional(described(glob(), 'Names of jobs: a name or a pattern; default "*".')),
      key: described(
        v.nullable(v.string(EXPECTED.key)),
        "What to lock, made from the job; null for jobs that need no lock.",
      ),
      ...optionsOf(LOCK_DATA_OPTIONS),
    },
    EXPECTED.rule,
  ),
  v.description("Says what to lock for the jobs that it matches, and how."),
);

/** Of a master only the names: what they have is looked at when variables have been put in. */
const partsOfNode = Object.fromEntries(
  KNOWN_IN_NODE.map((name) => [name, v.optional(v.unknown())]),
);
const node = v.union(
  [v.string(EXPECTED.node), v.strictObject(partsOfNode, EXPECTED.node)],
  EXPECTED.node,
);

/** The rules file: what `schema.json` is made from, and what files are checked against. */
export const rulesFileSchema = v.pipe(
  v.strictObject(
    {
      $schema: v.optional(described(v.string("the address of a schema"), "For editors.")),
      nodes: described(
        v.pipe(v.array(node, EXPECTED.nodes), v.minLength(1, EXPECTED.nodes)),
        "The lock masters. ${NAME} stands for an environment variable.",
      ),
      // A ttl or a heartbeat at the top is that of the Redlock; it is the default of all rules.
      ...optionsOf(LOCK_DATA_OPTIONS),
      ...optionsOf(REDLOCK_DATA_OPTIONS),
      rules: described(
        v.pipe(v.array(rule, EXPECTED.rules), v.minLength(1, EXPECTED.rules)),
        "The first rule that matches a job counts.",
      ),
    },
    EXPECTED.file,
  ),
  v.title("bullmq-redlock"),
  v.description("Lock masters, and rules that say what to lock for which jobs."),
);

/** The names that may stand at the top of a file, and in a rule. */
export const KNOWN_AT_TOP = Object.keys(rulesFileSchema.entries);
export const KNOWN_IN_RULE = Object.keys(rule.entries);

function glob() {
  return v.pipe(v.string(EXPECTED.glob), v.minLength(1, EXPECTED.glob));
}

function optionsOf<N extends string>(options: Record<N, DataOption>) {
  const entries = Object.entries<DataOption>(options).map(([name, { takes, says }]) => [
    name,
    v.optional(described(valueOf(takes), says)),
  ]);
  return Object.fromEntries(entries) as Record<N, v.OptionalSchema<v.GenericSchema, undefined>>;
}

function valueOf(takes: DataOption["takes"]): v.GenericSchema {
  return typeof takes === "string" ? VALUES[takes] : oneOf(takes);
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
  return v.union(
    [
      v.pipe(
        v.number(),
        v.integer(expected),
        v.minValue(0, expected),
        v.description("Milliseconds."),
      ),
      v.pipe(v.string(), v.regex(DURATION_FORM, expected)),
    ],
    expected,
  );
}

function described<S extends v.GenericSchema>(schema: S, says: string) {
  return v.pipe(schema, v.description(says));
}
