import type { Setting } from "./setting.ts";

/** Inngest, Trigger.dev and Hatchet: an expression over the event or the input gives the key. */
export const orchestrators: readonly Setting[] = [
  {
    what: "a singleton for each user, which skips",
    from: "inngest.com/docs/reference/functions/singleton, mode: skip",
    rules: [{ job: "data-sync.start", key: "data-sync:{{data.user_id}}", onConflict: "skip" }],
    samples: [
      {
        job: { name: "data-sync.start", data: { user_id: "u1" } },
        keys: ["data-sync:u1"],
        with: { onConflict: "skip" },
      },
    ],
  },
  {
    what: "a singleton that cancels the run before it",
    from: "inngest.com/docs/reference/functions/singleton, mode: cancel",
    rules: [
      { job: "data-sync.start", key: "data-sync:{{data.user_id}}", onConflict: "cancelInProgress" },
    ],
    samples: [
      {
        job: { name: "data-sync.start", data: { user_id: "u1" } },
        keys: ["data-sync:u1"],
        with: { onConflict: "cancelInProgress" },
      },
    ],
  },
  {
    what: "a key of an account and an e-mail address",
    from: "inngest.com/docs/reference/functions/singleton, event.data.account_id + event.user.email",
    rules: [{ key: "{{data.account_id}}-{{lower(data.user.email)}}", onConflict: "skip" }],
    samples: [
      {
        job: { data: { account_id: 7, user: { email: "A-b@Example.com" } } },
        keys: ["7-a%2Db@example.com"],
      },
      {
        job: { data: { account_id: "7-a", user: { email: "b@example.com" } } },
        keys: ["7%2Da-b@example.com"],
      },
    ],
  },
  {
    what: "one run at a time of all functions that use an API, scope account",
    from: "inngest.com/docs/guides/concurrency, scope: account with a constant key",
    rules: [
      { queue: ["summaries", "embeddings"], key: ["openai", "customer:{{data.customer_id}}"] },
    ],
    samples: [
      {
        job: { queueName: "embeddings", data: { customer_id: 3 } },
        keys: ["customer:3", "openai"],
      },
    ],
  },
  {
    what: "a queue that runs one at a time",
    from: "trigger.dev/docs/queue-concurrency, concurrencyLimit: 1",
    rules: [{ job: "one-at-a-time", key: "one-at-a-time" }],
    samples: [
      { job: { name: "one-at-a-time" }, keys: ["one-at-a-time"], with: { onConflict: "delay" } },
    ],
  },
  {
    what: "a concurrency key for each user, with a queue that the task shares",
    from: "trigger.dev/docs/queue-concurrency, concurrencyKey",
    rules: [{ queue: "my-queue", key: "{{queueName}}:{{data.userId}}" }],
    samples: [{ job: { queueName: "my-queue", data: { userId: "u-1" } }, keys: ["my-queue:u-1"] }],
  },
  {
    what: "users of the free plan share one lane, paying users have one each",
    from: "trigger.dev/docs/queue-concurrency, a queue for each plan",
    rules: [
      { when: { "data.plan": ["pro", "enterprise"] }, key: "user:{{data.userId}}" },
      { key: "free-users", maxWait: "1d" },
    ],
    samples: [
      { job: { data: { plan: "pro", userId: 1 } }, keys: ["user:1"] },
      {
        job: { data: { plan: "free", userId: 1 } },
        keys: ["free-users"],
        with: { maxWait: 86_400_000 },
      },
      { job: { data: { userId: 1 } }, keys: ["free-users"] },
    ],
  },
  {
    what: "the key of an expression with metadata",
    from: "docs.hatchet.run/v1/concurrency, input.user_id and additional_metadata",
    rules: [{ key: "{{data.input.user_id}}:{{data.additional_metadata.foobar}}" }],
    samples: [
      {
        job: { data: { input: { user_id: "abc" }, additional_metadata: { foobar: "bazqux" } } },
        keys: ["abc:bazqux"],
      },
    ],
  },
  {
    what: "cancel what runs, or what comes, by the strategy of the task",
    from: "docs.hatchet.run/v1/concurrency, CANCEL_IN_PROGRESS and CANCEL_NEWEST",
    rules: [
      { job: "chat", key: "chat:{{data.group_key}}", onConflict: "cancelInProgress" },
      { job: "import", key: "import:{{data.group_key}}", onConflict: "skip" },
    ],
    samples: [
      {
        job: { name: "chat", data: { group_key: "g" } },
        keys: ["chat:g"],
        with: { onConflict: "cancelInProgress" },
      },
      {
        job: { name: "import", data: { group_key: "g" } },
        keys: ["import:g"],
        with: { onConflict: "skip" },
      },
    ],
  },
  {
    what: "several expressions, each of which must be free",
    from: "github.com/hatchet-dev/hatchet, a list of concurrency expressions",
    rules: [{ key: ["digit:{{data.digit}}", "name:{{data.name}}"] }],
    samples: [
      { job: { data: { digit: 1, name: "a" } }, keys: ["digit:1", "name:a"] },
      { job: { data: { digit: 1 } }, keys: "data.name: found nothing" },
    ],
  },
];
