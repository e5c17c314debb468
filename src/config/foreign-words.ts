const LIMIT = "nothing yet: a key has one holder, and no limit can be set";
const KEY = "key, a template such as";
const DURATIONS =
  "ttl, which is extended while the job runs; maxHold for how long a job may run, maxWait for how long it may wait";

/** What options of other systems are here, by their names in lower case without `-` and `_`. */
const OPTIONS: Readonly<Record<string, string>> = {
  if: "when, such as when: { data.ref: refs/heads/main }",
  match: "queue, job, when or unless",
  concurrency: LIMIT,
  concurrencylimit: LIMIT,
  limit: LIMIT,
  maxruns: LIMIT,
  performlimit: LIMIT,
  totallimit: LIMIT,
  to: LIMIT,
  group: `${KEY} "deploy:{{data.environment}}"`,
  resourcegroup: `${KEY} "deploy:{{data.environment}}"`,
  concurrencykey: `${KEY} "account:{{data.accountId}}"`,
  lock: `${KEY} "account:{{data.accountId}}"`,
  expireafter: DURATIONS,
  expiry: DURATIONS,
  duration: DURATIONS,
  locktimeout: DURATIONS,
  lockttl: DURATIONS,
  lockatmostfor: DURATIONS,
  lockatleastfor: "minHold",
  releaseafter: "nothing: a job under onConflict: delay is woken when its key is free",
  cancelinprogress: "onConflict: cancelInProgress",
  strategy: "onConflict",
  mode: "onConflict",
  env: "${NAME} in nodes or keyPrefix",
};

/** What policies of other systems are here, written likewise. */
const POLICIES: Readonly<Record<string, string>> = {
  discard: "skip",
  drop: "skip",
  ignore: "skip",
  log: "skip",
  dontrelease: "skip",
  cancelnewest: "skip",
  replace: "keepLatest",
  supersede: "keepLatest",
  latest: "keepLatest",
  newest: "keepLatest",
  reschedule: "delay",
  release: "delay",
  block: "delay",
  queue: "delay",
  enqueue: "delay",
  park: "delay",
  raise: "fail",
  reject: "fail",
  error: "fail",
  throw: "fail",
  cancel: "cancelInProgress",
  terminate: "cancelInProgress",
};

/** Says what an option of another system is here. */
export function hintAboutOption(name: string): string | undefined {
  return lookUp(OPTIONS, name);
}

/** The choice that a word of another system stands for. */
export function meantChoice(word: string, choices: readonly string[]): string | undefined {
  const meant = lookUp(POLICIES, word);
  return meant !== undefined && choices.includes(meant) ? meant : undefined;
}

function lookUp(words: Readonly<Record<string, string>>, word: string): string | undefined {
  const plain = word.toLowerCase().replaceAll(/[-_ ]/g, "");
  return Object.hasOwn(words, plain) ? words[plain] : undefined;
}
