import type { Setting } from "./setting.ts";

/** Solid Queue, GoodJob, Sidekiq, Oban, Laravel, Celery and SQS. */
export const jobQueues: readonly Setting[] = [
  {
    what: "a group of two classes, by the contact that each names in its own way",
    from: "github.com/rails/solid_queue README, group: ContactActions",
    rules: [
      {
        job: ["MovePostingsByContact", "RebundlePostings"],
        key: "ContactActions/{{data.contact_id ?? data.bundle.contact_id}}",
        maxWait: "15m",
      },
    ],
    samples: [
      {
        job: { name: "MovePostingsByContact", data: { contact_id: 123 } },
        keys: ["ContactActions/123"],
      },
      {
        job: { name: "RebundlePostings", data: { bundle: { contact_id: 123 } } },
        keys: ["ContactActions/123"],
      },
      {
        job: { name: "RebundlePostings", data: { bundle: {} } },
        keys: "data.bundle.contact_id: found nothing",
      },
    ],
  },
  {
    what: "the name of the class in the key, unless a group is given",
    from: "github.com/rails/solid_queue README, limits_concurrency key",
    rules: [{ queue: "default", key: "{{data.group ?? name}}/{{data.key}}" }],
    samples: [
      {
        job: { queueName: "default", name: "DeliverJob", data: { key: 5 } },
        keys: ["DeliverJob/5"],
      },
      {
        job: { queueName: "default", name: "DeliverJob", data: { key: 5, group: "Mail" } },
        keys: ["Mail/5"],
      },
    ],
  },
  {
    what: "on_conflict: discard",
    from: "github.com/rails/solid_queue README, concurrency controls",
    rules: [{ job: "RefreshFeed", key: "feed:{{data.feed_id}}", onConflict: "skip" }],
    samples: [
      {
        job: { name: "RefreshFeed", data: { feed_id: 1 } },
        keys: ["feed:1"],
        with: { onConflict: "skip" },
      },
    ],
  },
  {
    what: "a lambda that joins a queue and an argument",
    from: "github.com/bensheldon/good_job README, good_job_control_concurrency_with",
    rules: [{ key: "{{name}}-{{queueName}}-{{data.name}}" }],
    samples: [
      { job: { name: "MyJob", queueName: "q", data: { name: "Alice" } }, keys: ["MyJob-q-Alice"] },
    ],
  },
  {
    what: "a lock while executing, by the first argument; rescheduled",
    from: "github.com/mhenrixon/sidekiq-unique-jobs, lock: while_executing, on_conflict: reschedule",
    rules: [{ queue: "working", key: "{{name}}:{{data.args[0]}}" }],
    samples: [
      {
        job: { queueName: "working", name: "W", data: { args: ["a:b", 2] } },
        keys: ["W:a%3Ab"],
        with: { onConflict: "delay" },
      },
      {
        job: { queueName: "working", name: "W", data: { args: [] } },
        keys: "data.args[0]: found nothing",
      },
    ],
  },
  {
    what: "on_conflict: replace",
    from: "github.com/mhenrixon/sidekiq-unique-jobs, UniqueJobOnConflictReplace",
    rules: [
      {
        queue: "customqueue",
        key: "{{name}}:{{data.args[0]}}:{{data.args[1]}}",
        onConflict: "keepLatest",
      },
    ],
    samples: [
      {
        job: { queueName: "customqueue", name: "J", data: { args: [1, 2] } },
        keys: ["J:1:2"],
        with: { onConflict: "keepLatest" },
      },
    ],
  },
  {
    what: "on_conflict: reject, which ends in the dead set",
    from: "github.com/mhenrixon/sidekiq-unique-jobs, UniqueJobOnConflictReject",
    rules: [
      {
        queue: "customqueue",
        key: "{{name}}:{{data.args[0]}}",
        onConflict: "fail",
      },
    ],
    samples: [
      {
        job: { queueName: "customqueue", name: "J", data: { args: [1] } },
        keys: ["J:1"],
        with: { onConflict: "fail" },
      },
    ],
  },
  {
    what: "an argument that may be in the options hash",
    from: "github.com/mhenrixon/sidekiq-unique-jobs, UntilExecutedWithLockArgsJob",
    rules: [{ key: "{{data.args[0]}}:{{data.args[1].bogus ?? 'none'}}" }],
    samples: [
      { job: { data: { args: ["x", { bogus: "y" }] } }, keys: ["x:y"] },
      { job: { data: { args: ["x"] } }, keys: ["x:none"] },
    ],
  },
  {
    what: "a partition by the worker and a key of its arguments",
    from: "hexdocs.pm/oban, unique: fields and keys",
    rules: [{ queue: "default", key: "{{name}}:{{data.id}}" }],
    samples: [
      {
        job: { queueName: "default", name: "MyApp.Worker", data: { id: 1, url: "x" } },
        keys: ["MyApp.Worker:1"],
      },
    ],
  },
  {
    what: "unique by meta, where there is one",
    from: "hexdocs.pm/oban, unique: fields [:meta], keys [:batch_id]",
    rules: [
      {
        unless: { "data.meta.batch_id": null },
        key: "batch:{{data.meta.batch_id}}",
        onConflict: "skip",
      },
      { key: null },
    ],
    samples: [
      { job: { data: { meta: { batch_id: "b1" } } }, keys: ["batch:b1"] },
      { job: { data: { meta: {} } }, keys: null },
    ],
  },
  {
    what: "WithoutOverlapping by the id of a user, with the name of the class",
    from: "laravel.com/docs/queues, preventing job overlaps",
    rules: [{ queue: "default", key: "laravel-queue-overlap:{{name}}:{{data.user.id}}" }],
    samples: [
      {
        job: { queueName: "default", name: "UpdateCreditScore", data: { user: { id: 9 } } },
        keys: ["laravel-queue-overlap:UpdateCreditScore:9"],
      },
    ],
  },
  {
    what: "shared: two classes with one key for each provider",
    from: "github.com/laravel/framework pull 44227",
    rules: [{ job: ["ProviderIsDown", "ProviderIsUp"], key: "provider-status:{{data.provider}}" }],
    samples: [
      { job: { name: "ProviderIsDown", data: { provider: "aws" } }, keys: ["provider-status:aws"] },
      { job: { name: "ProviderIsUp", data: { provider: "aws" } }, keys: ["provider-status:aws"] },
    ],
  },
  {
    what: "dontRelease, and Skip::when for a dry run",
    from: "laravel.com/docs/queues, dontRelease and skipping jobs",
    rules: [
      { job: "Reindex", when: { "data.dryRun": true }, key: null },
      { job: "Reindex", key: "reindex:{{data.index}}", onConflict: "skip" },
    ],
    samples: [
      { job: { name: "Reindex", data: { index: "a", dryRun: true } }, keys: null },
      {
        job: { name: "Reindex", data: { index: "a" } },
        keys: ["reindex:a"],
        with: { onConflict: "skip" },
      },
    ],
  },
  {
    what: "a task on one server: onOneServer with a minimum",
    from: "laravel.com/docs/scheduling, onOneServer and withoutOverlapping",
    top: { maxTtl: "2m" },
    rules: [{ queue: "schedule", key: "schedule:{{name}}", onConflict: "skip", minHold: "60s" }],
    samples: [
      {
        job: { queueName: "schedule", name: "emails:send" },
        keys: ["schedule:emails%3Asend"],
        with: { onConflict: "skip", minHold: 60_000 },
      },
    ],
  },
  {
    what: "once: keys, graceful",
    from: "github.com/cameronmaske/celery-once, once: keys and graceful",
    rules: [{ queue: "celery", key: "qo_{{name}}_a-{{data.a}}", onConflict: "skip" }],
    samples: [
      {
        job: { queueName: "celery", name: "tasks.slow_add", data: { a: 1, b: 2 } },
        keys: ["qo_tasks.slow%5Fadd_a-1"],
      },
    ],
  },
  {
    what: "a lock for a feed by its address, as in the cookbook",
    from: "docs.celeryq.dev, ensuring a task is only executed one at a time",
    rules: [
      {
        job: "import_feed",
        key: "{{name}}-lock-{{data.feed_url}}",
        onConflict: "skip",
        maxHold: "10m",
      },
    ],
    samples: [
      {
        job: { name: "import_feed", data: { feed_url: "https://example.com/rss" } },
        keys: ["import_feed-lock-https%3A//example.com/rss"],
        with: { maxHold: 600_000 },
      },
    ],
  },
  {
    what: "a message group for each tenant",
    from: "docs.aws.amazon.com, using the message group ID with FIFO queues",
    rules: [{ queue: "orders-fifo", key: "{{queueName}}:{{data.MessageGroupId}}" }],
    samples: [
      {
        job: { queueName: "orders-fifo", data: { MessageGroupId: "t1" } },
        keys: ["orders-fifo:t1"],
      },
    ],
  },
  {
    what: "messages without a group are not ordered",
    from: "docs.aws.amazon.com, MessageGroupId in standard queues",
    rules: [
      { queue: "orders", when: { "data.MessageGroupId": [null, ""] }, key: null },
      { queue: "orders", key: "group:{{data.MessageGroupId}}" },
    ],
    samples: [
      { job: { queueName: "orders", data: {} }, keys: null },
      { job: { queueName: "orders", data: { MessageGroupId: "" } }, keys: null },
      { job: { queueName: "orders", data: { MessageGroupId: "g" } }, keys: ["group:g"] },
    ],
  },
];
