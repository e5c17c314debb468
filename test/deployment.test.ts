import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { Redlock } from "../src/index.ts";
import { SILENCE_LIMIT } from "../src/redis/connection.ts";
import { FINDINGS } from "../src/ready/findings.ts";
import { checkRedlockOptions } from "../src/redlock/options.ts";
import { startRedisNodes } from "../src/testing/index.ts";
import { redisClient } from "./support/redis.ts";

const PASSWORD = "a-long-random-password";
const SERVERS = /^redis:\d+$/;
/** Milliseconds for which CoreDNS as installed by kubeadm lets the address of a pod be cached. */
const DNS_CACHE = 30_000;

interface Compose {
  services: Record<
    string,
    {
      image: string;
      command: string[];
      configs: { source: string; target: string }[];
      healthcheck: { test: string[] };
      ports: string[];
      volumes: string[];
    }
  >;
  configs: Record<string, { content: string }>;
  volumes: Record<string, unknown>;
}

interface Probe {
  exec: { command: string[] };
  initialDelaySeconds?: number;
}

interface StatefulSet {
  kind: "StatefulSet";
  spec: {
    replicas: number;
    serviceName: string;
    selector: { matchLabels: object };
    template: {
      metadata: { labels: object };
      spec: {
        affinity: {
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              topologyKey: string;
              labelSelector: { matchLabels: object };
            }[];
          };
        };
        containers: {
          image: string;
          args: string[];
          livenessProbe: Probe;
          readinessProbe: Probe;
          resources: { limits: { memory: string } };
          volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
        }[];
        volumes: { name: string; secret?: { secretName: string } }[];
      };
    };
    volumeClaimTemplates: { metadata: { name: string }; spec: { accessModes: string[] } }[];
  };
}

type Manifest =
  | StatefulSet
  | {
      kind: "Service";
      metadata: { name: string };
      spec: { clusterIP: string; publishNotReadyAddresses: boolean; selector: object };
    }
  | { kind: "Secret"; metadata: { name: string }; stringData: Record<string, string> }
  | {
      kind: "PodDisruptionBudget";
      spec: { maxUnavailable: number; selector: { matchLabels: object } };
    };

const compose = parse(read("examples/deployment/compose.yaml"), { merge: true }) as Compose;
const manifests = parseAllDocuments(read("examples/deployment/kubernetes.yaml")).map(
  (document) => document.toJS() as Manifest,
);
const runbook = read("docs/deployment.md");

describe("examples/deployment/compose.yaml", () => {
  const masters = Object.values(compose.services);

  it("has three masters, each with a volume and a port of its own", () => {
    expect(masters).toHaveLength(3);
    const volumes = masters.map(({ volumes: [volume = ""] }) => volume.split(":")[0]);
    expect(new Set(volumes)).toEqual(new Set(Object.keys(compose.volumes)));
    for (const { volumes: mounted } of masters)
      expect(mounted).toEqual([expect.stringMatching(/:\/data$/)]);
    const ports = masters.flatMap((master) => master.ports);
    expect(new Set(ports).size).toBe(3);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:6379$/);
  });

  it("pins the major version, checks the health, and starts from the configuration", () => {
    for (const { image, command, configs, healthcheck } of masters) {
      expect(image).toMatch(SERVERS);
      expect(healthcheck.test).toEqual(["CMD", "redis-cli", "-e", "ping"]);
      expect(command).toEqual(["redis-server", configs[0]?.target]);
    }
  });
});

describe("examples/deployment/kubernetes.yaml", () => {
  const { spec } = ofKind("StatefulSet");
  const pod = spec.template.spec;
  const [container] = pod.containers;
  const labels = spec.template.metadata.labels;

  it("has three masters on three nodes, of which one at a time may be evicted", () => {
    expect(spec.replicas).toBe(3);
    expect(spec.selector.matchLabels).toEqual(labels);
    const { requiredDuringSchedulingIgnoredDuringExecution: rules } = pod.affinity.podAntiAffinity;
    expect(rules).toEqual([
      { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: labels } },
    ]);
    const budget = ofKind("PodDisruptionBudget").spec;
    expect(budget).toMatchObject({ maxUnavailable: 1, selector: { matchLabels: labels } });
  });

  it("gives each master a volume of its own, and shares nothing that is written to", () => {
    expect(spec.volumeClaimTemplates).toHaveLength(1);
    const [claim] = spec.volumeClaimTemplates;
    expect(claim?.spec.accessModes).toEqual(["ReadWriteOnce"]);
    const mounts = container?.volumeMounts ?? [];
    expect(mounts.find(({ mountPath }) => mountPath === "/data")?.name).toBe(claim?.metadata.name);
    const written = mounts.filter(({ readOnly }) => readOnly !== true).map(({ name }) => name);
    expect(written).toEqual([claim?.metadata.name]);
  });

  it("pins the major version, and limits the memory above maxmemory", () => {
    expect(container?.image).toMatch(SERVERS);
    const [, maxmemory] = /^maxmemory (\d+)mb$/m.exec(configurations.kubernetes) ?? [];
    const [, limit] = /^(\d+)Mi$/.exec(container?.resources.limits.memory ?? "") ?? [];
    expect(Number(limit)).toBeGreaterThanOrEqual(2 * Number(maxmemory));
  });

  it("updates the next master when the quarantine of the one before is over", () => {
    const { maxTtl, driftFactor, nodeTimeout, clockSkewBudget } = checkRedlockOptions({});
    const quarantine = maxTtl * (1 + 2 * driftFactor) + nodeTimeout + clockSkewBudget;
    const { initialDelaySeconds = 0, exec } = container!.readinessProbe;
    expect(exec).toEqual(container!.livenessProbe.exec);
    // The quarantine begins when clients have reached the master, which has another address.
    expect(initialDelaySeconds * 1_000).toBeGreaterThan(DNS_CACHE + SILENCE_LIMIT + quarantine);
    expect(ofKind("Service").spec).toEqual(
      expect.objectContaining({
        clusterIP: "None",
        publishNotReadyAddresses: true,
        selector: labels,
      }),
    );
    expect(spec.serviceName).toBe(ofKind("Service").metadata.name);
  });
});

const configurations = {
  compose: compose.configs["redis.conf"]!.content.replace(/\$\{LOCKS_PASSWORD:\?[^}]*\}/, PASSWORD),
  kubernetes: ofKind("Secret").stringData["redis.conf"]!.replace("change-me", PASSWORD),
};

describe.each(Object.entries(configurations))("the masters of %s", (_, configuration) => {
  const settings = new Map(directives(configuration).map(([name, ...rest]) => [name, rest]));

  it("keep every write, evict nothing, and replicate nothing", () => {
    expect(settings.get("appendonly")).toEqual(["yes"]);
    expect(settings.get("appendfsync")).toEqual(["always"]);
    expect(settings.get("maxmemory-policy")).toEqual(["noeviction"]);
    for (const name of ["replicaof", "slaveof", "cluster-enabled"])
      expect(settings.has(name)).toBe(false);
  });

  it("have the user of docs/ready.md", () => {
    const [, rules] = /^ACL SETUSER locks on >secret (.+)$/m.exec(read("docs/ready.md")) ?? [];
    expect(configuration).toContain(`\nuser locks on >${PASSWORD} ${rules}\n`);
  });

  it("leave ready() without findings, and only PING to a client without a password", async () => {
    const args = directives(configuration).flatMap(([name, ...rest]) => [`--${name}`, ...rest]);
    const servers = await startRedisNodes(3, { args });
    onTestFinished(async () => await servers.stop());
    const nodes = servers.urls.map((url) => url.replace("//", `//locks:${PASSWORD}@`));
    const redlock = new Redlock({ nodes, restartGuard: "trust-new" });
    onTestFinished(async () => await redlock.close());

    expect((await redlock.ready({ strict: true })).findings).toEqual([]);
    expect(await redlock.using("account:42", (lock) => lock.held)).toBe(true);
    const stranger = redisClient(servers.urls[0]!, { enableReadyCheck: false });
    expect(await stranger.ping()).toBe("PONG");
    await expect(stranger.get("redlock:account:42")).rejects.toThrow("NOPERM");
  });
});

describe("docs/deployment.md", () => {
  it("has a first step for each alert, and no other", () => {
    const { groups } = parse(read("docs/alerts.yaml")) as {
      groups: { rules: { alert: string }[] }[];
    };
    const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
    expect(codesIn(runbook, "Alert")).toEqual(alerts.sort());
  });

  it("has what to do about each finding, and no other", () => {
    expect(codesIn(runbook, "Finding")).toEqual(Object.keys(FINDINGS).sort());
  });

  it("has what to do about each warning, and no other", () => {
    // test/events.test.ts compares that page with the type of the codes.
    const warnings = codesIn(read("docs/events.md"), "`warning`");
    expect(warnings.length).toBeGreaterThan(20);
    expect(codesIn(runbook, "Warning")).toEqual(warnings);
  });
});

/** The codes of all tables whose first column has this title, sorted. */
function codesIn(page: string, title: string): string[] {
  const tables = page.split(/\n\n/).filter((part) => part.startsWith(`| ${title} `));
  return tables
    .flatMap((table) => table.trimEnd().split("\n").slice(2))
    .map((row) => /^\| `([^`]+)`/.exec(row)?.[1] ?? row)
    .sort();
}

function directives(configuration: string): string[][] {
  return configuration
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(" "));
}

function ofKind<K extends Manifest["kind"]>(kind: K): Extract<Manifest, { kind: K }> {
  const [manifest, ...more] = manifests.filter((each) => each.kind === kind);
  expect(manifest).toBeDefined();
  expect(more).toEqual([]);
  return manifest as Extract<Manifest, { kind: K }>;
}

function read(path: string): string {
  return readFileSync(join(import.meta.dirname, "..", path), "utf8");
}
