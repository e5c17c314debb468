const LIMIT = "limit, how many jobs may hold a key at the same time";
const DURATIONS =
  "ttl, which is extended while the job runs; maxHold for how long a job may run, maxWait for how long it may wait";

/** Options of other systems, in lower case without `-` and `_`, and what to write here. */
const OPTIONS = [
  ["concurrency concurrencylimit maxruns performlimit totallimit to", LIMIT],
  ["redis connection connections masters servers hosts urls", "nodes"],
  ["group resourcegroup", 'key, a template such as "deploy:{{data.environment}}"'],
  ["lock concurrencykey", 'key, a template such as "account:{{data.accountId}}"'],
  ["expireafter expiry duration timeout locktimeout lockttl lockatmostfor", DURATIONS],
  ["lockatleastfor", "minHold"],
  ["releaseafter", "nothing: a job under onConflict: delay is woken when its key is free"],
  ["cancelinprogress", "onConflict: cancelInProgress"],
  ["strategy mode processmode conflict", "onConflict"],
  ["if", "when, such as when: { data.ref: refs/heads/main }"],
  ["match", "queue, job, when or unless"],
  ["name jobname jobs", "job"],
  ["queuename queues", "queue"],
  ["retries attempts maxattempts", "nothing here: set the option attempts of the job"],
  ["<<", "no merge: options at the top are for all rules, and an alias stands for one value"],
  ["env", "${NAME} in nodes or prefix"],
] as const;

/** Policies of other systems in the same form, and those of this library. */
const POLICIES = [
  ["discard drop ignore log dontrelease cancelnewest", "skip"],
  ["replace supersede latest newest newestfirst", "keepLatest"],
  ["reschedule release block queue enqueue requeue retry park oldestfirst", "delay"],
  ["raise reject error throw", "fail"],
  ["cancel terminate", "cancelInProgress"],
] as const;

/** Describes what to write instead of an option of another system. */
export function hintAboutOption(name: string): string | undefined {
  if (/^\/[/*]/.test(name)) return "# before a comment";
  return lookUp(OPTIONS, name);
}

/** Returns the choice that a word of another system stands for. */
export function meantChoice(word: string, choices: readonly string[]): string | undefined {
  const meant = lookUp(POLICIES, word);
  return meant !== undefined && choices.includes(meant) ? meant : undefined;
}

function lookUp(table: readonly (readonly [string, string])[], word: string): string | undefined {
  const plain = word.toLowerCase().replaceAll(/[-_ ]/g, "");
  return table.find(([words]) => words.split(" ").includes(plain))?.[1];
}
