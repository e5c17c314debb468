import type { Setting } from "./setting.ts";

/** Keys that programs made for redlock and its like by hand. */
export const byHand: readonly Setting[] = [
  {
    what: "from and to of a transfer, whatever the order",
    from: "github.com/mike-marcacci/node-redlock README, several resources",
    rules: [{ job: "transfer", key: ["account:{{data.from}}", "account:{{data.to}}"] }],
    samples: [
      { job: { name: "transfer", data: { from: 2, to: 1 } }, keys: ["account:1", "account:2"] },
      { job: { name: "transfer", data: { from: 1, to: 1 } }, keys: ["account:1"] },
      { job: { name: "transfer", data: { from: 1, to: null } }, keys: "data.to: found null" },
    ],
  },
  {
    what: "the customer, for a job that updates a balance",
    from: "public BullMQ workers with a lock for each customer",
    rules: [
      {
        job: ["update-balance", "update-usage"],
        key: "lock:{{data.customerId}}",
        onConflict: "wait",
        waitTimeout: "30s",
      },
    ],
    samples: [
      {
        job: { name: "update-usage", data: { customerId: "cus_1" } },
        keys: ["lock:cus_1"],
        with: { onConflict: "wait", waitTimeout: 30_000 },
      },
    ],
  },
  {
    what: "a repository that is indexed for hours",
    from: "github.com/sourcebot-dev/sourcebot pull 860",
    rules: [{ queue: "repo-index-queue", key: "repo:{{data.repoId}}", onLost: "fail" }],
    samples: [
      {
        job: { queueName: "repo-index-queue", data: { repoId: 12 } },
        keys: ["repo:12"],
        with: { onLost: "fail" },
      },
    ],
  },
  {
    what: "a domain, with a fallback that all crawls without one share",
    from: "github.com/taskforcesh/bullmq issue 3000",
    rules: [{ queue: "crawl-*", key: "domain:{{lower(data.domain || data.host || 'unknown')}}" }],
    samples: [
      {
        job: { queueName: "crawl-eu", data: { domain: "Example.COM" } },
        keys: ["domain:example.com"],
      },
      { job: { queueName: "crawl-eu", data: { domain: "", host: "h" } }, keys: ["domain:h"] },
      { job: { queueName: "crawl-eu", data: {} }, keys: ["domain:unknown"] },
    ],
  },
  {
    what: "the lines of an order, all or none",
    from: "stock reservations, a lock for each article",
    rules: [{ key: "sku:{{data.lines[*].sku ?? data.sku}}" }],
    samples: [
      {
        job: { data: { lines: [{ sku: "b" }, { sku: "a" }, { sku: "b" }] } },
        keys: ["sku:a", "sku:b"],
      },
      { job: { data: { sku: "c" } }, keys: ["sku:c"] },
      { job: { data: { lines: [] } }, keys: "an empty array" },
    ],
  },
  {
    what: "staging and production beside each other on the same masters",
    from: "prefixes by environment in public redlock code",
    top: { prefix: "${APP_ENV}:lock:" },
    rules: [{ key: "order:{{data.orderId}}" }],
    samples: [{ job: { data: { orderId: "A-1" } }, keys: ["order:A-1"] }],
  },
];
