import { describe, expectTypeOf, it } from "vitest";
import type { KeyJob } from "../../src/keys/job.ts";
import type { CheckTemplate, NotAValue, UnknownPath } from "../../src/keys/template-types.ts";

interface Address {
  city: string;
  lines: string[];
}

interface Order {
  orderId: string;
  total: number;
  paid: boolean;
  size?: bigint;
  region?: string | null;
  customer: { id: number; address?: Address };
  items: { sku: string; tags: readonly string[] }[];
  pair: [string, { id: number }];
  prices: Record<string, number>;
  byNumber: Record<number, string>;
  "odd name": string;
  kind: { type: "a"; aId: string } | { type: "b"; bId: string };
  mixed: string | { id: string };
  free: any; // oxlint-disable-line typescript/no-explicit-any -- users have such types
  secret: unknown;
  bag: object;
  createdAt: Date;
  status: "open" | "closed";
  nothing: null;
  tree: Tree;
}

interface Tree {
  id: string;
  children: Tree[];
}

describe("a key template checked against the type of the data", () => {
  it("accepts every path to a string, number or boolean", () => {
    accepts<"order:{{data.orderId}}">();
    accepts<"order:{{ data.total }}:{{data.paid}}:{{data.size}}">();
    accepts<"{{data.customer.id}}">();
    accepts<"{{data.customer.address.city}}">();
    accepts<"{{data.customer.address.lines[0]}}">();
    accepts<"{{data.items[*].sku}}">();
    accepts<"{{data.items[0].sku}}">();
    accepts<"{{data.items[*].tags[*]}}">();
    accepts<"{{data.pair[0]}}:{{data.pair[1].id}}">();
    accepts<"{{data.prices.anything}}">();
    accepts<"{{data.byNumber.7}}">();
    accepts<'{{data["odd name"]}}'>();
    accepts<"{{data['odd name']}}">();
    accepts<'{{data["customer"]["id"]}}'>();
    accepts<'{{data.prices["a.b"]}}'>();
    accepts<"{{data.status}}:{{data.createdAt}}">();
    accepts<"{{data.tree.children[*].children[0].children[1].id}}">();
  });

  it("accepts a path that a member of a union has", () => {
    accepts<"{{data.kind.aId}}">();
    accepts<"{{data.kind.type}}">();
    accepts<"{{data.mixed}}">();
    accepts<"{{data.mixed.id}}">();
  });

  it("accepts the other roots, defaults, escapes and constant keys", () => {
    accepts<"{{name}}:{{id}}:{{queueName}}:{{opts.priority}}">();
    accepts<'{{data.region ?? "eu"}}:{{data.total??0}}'>();
    accepts<"nightly-report">();
    accepts<"\\{{data.orderID}}">();
    accepts<"\\{{ {{data.orderId}}">();
  });

  it("accepts alternative paths, and lower case", () => {
    accepts<"{{data.region ?? data.customer.address.city}}">();
    accepts<'{{data.region ?? data.orderId ?? "none"}}:{{data.total}}'>();
    accepts<'{{data.region||data.orderId||"none"}}'>();
    accepts<"{{data.region || data.total || -1.5}}">();
    accepts<"{{data.items[*].sku ?? data.items[*].tags[*] ?? id}}">();
    accepts<"{{lower(data.region)}}">();
    accepts<'{{ lower ( data.region || data["odd name"] || "x" ) }}'>();
    accepts<'{{data.region ?? "a ?? data.b || c"}}'>();
    accepts<"{{data['odd name'] ?? data['orderId']}}">();
    accepts<'{{data.region ?? data["a ?? b"]}}'>();
  });

  it("leaves to run time what types cannot check", () => {
    accepts<"{{data.free.a.b[0].c}}">();
    accepts<"{{data.secret}}:{{data.secret.a}}">();
    accepts<"{{data.bag.a}}">();
    accepts<string>();
    accepts<`order:${string}`>();
    accepts<`order:{{data.${string}}}`>();
    accepts<`order:{{data.a${string}}}`>();
    accepts<`order:{{data${string}}}:${string}`>();
    accepts<'{{data["a}}b"]}}'>();
    accepts<'{{data["a ?? b"]}}'>();
    // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's default data type
    expectTypeOf<CheckTemplate<"{{data.a.b}}:{{data}}", any>>().toBeUnknown();
    expectTypeOf<CheckTemplate<"{{data.a.b}}", unknown>>().toBeUnknown();
    expectTypeOf<CheckTemplate<"user:{{data}}", string>>().toBeUnknown();
  });

  it("names an unknown path", () => {
    refuses<"order:{{data.orderID}}", UnknownPath<"data.orderID">>();
    refuses<"{{data.customer.addres.city}}", UnknownPath<"data.customer.addres.city">>();
    refuses<"{{data.customer.address.town}}", UnknownPath<"data.customer.address.town">>();
    refuses<"{{data.items[*].SKU}}", UnknownPath<"data.items[*].SKU">>();
    refuses<"{{data.items.sku}}", UnknownPath<"data.items.sku">>();
    refuses<"{{data.items.length}}", UnknownPath<"data.items.length">>();
    refuses<"{{data.customer[*].id}}", UnknownPath<"data.customer[*].id">>();
    refuses<"{{data.customer[0]}}", UnknownPath<"data.customer[0]">>();
    refuses<"{{data.pair[2]}}", UnknownPath<"data.pair[2]">>();
    refuses<"{{data.orderId.length}}", UnknownPath<"data.orderId.length">>();
    refuses<"{{data.kind.cId}}", UnknownPath<"data.kind.cId">>();
    refuses<'{{data["odd nam"]}}', UnknownPath<'data["odd nam"]'>>();
    refuses<'{{ data.regoin ?? "eu" }}', UnknownPath<"data.regoin">>();
    refuses<"{{data.region ?? data.orderID}}", UnknownPath<"data.orderID">>();
    refuses<
      "{{data.regoin || data.orderID || 'x'}}",
      UnknownPath<"data.regoin"> | UnknownPath<"data.orderID">
    >();
    refuses<
      '{{data["odd nam"] ?? data.orderID}}',
      UnknownPath<'data["odd nam"]'> | UnknownPath<"data.orderID">
    >();
    refuses<"{{lower(data.orderID)}}", UnknownPath<"data.orderID">>();
    refuses<"{{ lower( data.orderId ?? data.items ) }}", NotAValue<"data.items">>();
    refuses<"{{data.region ?? eu}}", UnknownPath<"eu">>();
    refuses<"{{dta.orderId}}", UnknownPath<"dta.orderId">>();
    refuses<"{{job.data.orderId}}", UnknownPath<"job.data.orderId">>();
    refuses<"{{dataset}}", UnknownPath<"dataset">>();
    refuses<"{{name.length}}", UnknownPath<"name.length">>();
    refuses<"{{orderId}}", UnknownPath<"orderId">>();
    refuses<"\\{{ {{data.orderID}}", UnknownPath<"data.orderID">>();
  });

  it("names a path to an object or an array", () => {
    refuses<"{{data}}", NotAValue<"data">>();
    refuses<"{{data.customer}}", NotAValue<"data.customer">>();
    refuses<"{{data.customer.address}}", NotAValue<"data.customer.address">>();
    refuses<"{{data.items}}", NotAValue<"data.items">>();
    refuses<"{{data.items[*]}}", NotAValue<"data.items[*]">>();
    refuses<"{{data.items[*].tags}}", NotAValue<"data.items[*].tags">>();
    refuses<"{{data.nothing}}", NotAValue<"data.nothing">>();
  });

  it("names every problem of a template, and of each template of a union", () => {
    refuses<
      "{{data.orderID}}:{{data.total}}:{{data.items}}",
      UnknownPath<"data.orderID"> | NotAValue<"data.items">
    >();
    refuses<"{{data.orderId}}" | "{{data.orderID}}", UnknownPath<"data.orderID">>();
  });

  it("lets the compiler infer the template as the wrapper declares it", () => {
    const redlock = {};
    withLock({ redlock, key: "order:{{data.orderId}}" }, async (job: Job<Order>) => job.id);
    withLock({ key: "order:{{data.x.y}}" }, (job: Job) => job);
    withLock({ key: ["order", "{{data.orderId}}"].join(":") }, (job: Job<Order>) => job);
    withLock({ key: (job) => `order:${job.data.orderId}` }, (job: Job<Order>) => job);
    withLock({ key: () => null }, (job: Job<Order>) => job);
    withLock(
      { redlock, key: ["{{data.orderId}}", "{{data.total}}"] },
      async (job: Job<Order>) => job.id,
    );
    withLock({ key: ["a:{{data.x}}", "b"] }, (job: Job) => job);
    const some: readonly string[] = ["a:{{data.x}}"];
    withLock({ key: some }, (job: Job<Order>) => job);
    // @ts-expect-error -- the second is misspelt
    withLock({ key: ["a:{{data.orderId}}", "b:{{data.orderID}}"] }, (job: Job<Order>) => job);
    // @ts-expect-error -- an object
    withLock({ key: ["a:{{data.customer}}"] }, (job: Job<Order>) => job);
    // @ts-expect-error -- no template
    withLock({ key: ["a:{{data.orderId}}", 5] }, (job: Job<Order>) => job);
    // @ts-expect-error -- misspelt
    withLock({ redlock, key: "order:{{data.orderID}}" }, async (job: Job<Order>) => job.id);
    // @ts-expect-error -- an object
    withLock({ redlock, key: "order:{{data.customer}}" }, async (job: Job<Order>) => job.id);
    // @ts-expect-error -- a key function is synchronous
    withLock({ key: async () => "order" }, (job: Job<Order>) => job);
  });
});

// oxlint-disable-next-line typescript/no-explicit-any -- as in BullMQ
interface Job<Data = any> extends KeyJob {
  data: Data;
}

// oxlint-disable-next-line typescript/no-explicit-any -- as in BullMQ
function withLock<D = any, const K extends string = string>(
  _options: {
    redlock?: object;
    key:
      | (K & CheckTemplate<K, D>)
      | readonly (K & CheckTemplate<K, D>)[]
      | ((job: Job<D>) => string | string[] | null);
  },
  _processor: (job: Job<D>) => unknown,
): void {}

function accepts<K extends string>(
  ..._problem: unknown extends CheckTemplate<K, Order> ? [] : [CheckTemplate<K, Order>]
): void {}

function refuses<K extends string, Problem>(
  ..._other: [CheckTemplate<K, Order>, Problem] extends [Problem, CheckTemplate<K, Order>]
    ? []
    : [CheckTemplate<K, Order>]
): void {}
