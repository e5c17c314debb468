import type { Setting } from "./setting.ts";

/** GitLab, Buildkite, CircleCI, Argo Workflows and Azure Pipelines. */
export const pipelines: readonly Setting[] = [
  {
    what: "a resource group of a deploy job",
    from: "docs.gitlab.com/ci/resource_groups",
    rules: [
      { queue: "ci", job: "deploy", key: "{{data.project_id}}:production" },
      { queue: "ci", key: null },
    ],
    samples: [
      { job: { queueName: "ci", name: "deploy", data: { project_id: 4 } }, keys: ["4:production"] },
      { job: { queueName: "ci", name: "build", data: { project_id: 4 } }, keys: null },
    ],
  },
  {
    what: "the process mode newest_first, which drops what is older",
    from: "docs.gitlab.com/ci/resource_groups, process modes",
    rules: [
      {
        when: { "data.process_mode": ["newest_first", "newest_ready_first"] },
        key: "{{data.resource_group}}",
        onConflict: "keepLatest",
      },
      { unless: { "data.resource_group": [null, ""] }, key: "{{data.resource_group}}" },
      { key: null },
    ],
    samples: [
      {
        job: { data: { resource_group: "prod", process_mode: "newest_first" } },
        keys: ["prod"],
        with: { onConflict: "keepLatest" },
      },
      {
        job: { data: { resource_group: "prod", process_mode: "unordered" } },
        keys: ["prod"],
        with: { onConflict: "delay" },
      },
      { job: { data: { resource_group: "" } }, keys: null },
      { job: { data: {} }, keys: null },
    ],
  },
  {
    what: "a physical device, which only one job can use",
    from: "gitlab.com/gitlab-org/gitlab issue 15536",
    rules: [{ key: "device:{{data.device}}" }],
    samples: [{ job: { data: { device: "pixel-9" } }, keys: ["device:pixel-9"] }],
  },
  {
    what: "a review app by the slug of its branch, production by name",
    from: "docs.gitlab.com, resource_group: $CI_ENVIRONMENT_SLUG",
    rules: [{ key: "env:{{data.environment_slug || data.ref_slug || 'production'}}" }],
    samples: [
      { job: { data: { environment_slug: "", ref_slug: "feature-x" } }, keys: ["env:feature-x"] },
      { job: { data: {} }, keys: ["env:production"] },
    ],
  },
  {
    what: "a concurrency group for all pipelines of an organisation, in order",
    from: "buildkite.com/docs/pipelines/controlling-concurrency",
    rules: [{ queue: "steps", key: "{{data.org}}/{{data.pipeline}}/deploy" }],
    samples: [
      {
        job: { queueName: "steps", data: { org: "acme", pipeline: "web" } },
        keys: ["acme/web/deploy"],
      },
      {
        job: { queueName: "steps", data: { org: "a/b", pipeline: "c" } },
        keys: ["a%2Fb/c/deploy"],
      },
    ],
  },
  {
    what: "a gate: the steps that start and end it have one group",
    from: "buildkite.com/resources/examples/buildkite/concurrency-group-pipeline-example",
    rules: [
      { job: ["start-gate", "deploy", "end-gate"], key: "gate:{{data.pipeline}}" },
      { key: null },
    ],
    samples: [
      { job: { name: "end-gate", data: { pipeline: "web" } }, keys: ["gate:web"] },
      { job: { name: "tests", data: { pipeline: "web" } }, keys: null },
    ],
  },
  {
    what: "a serial group by project",
    from: "circleci.com/docs/guides/orchestrate/serial-group-recipes",
    rules: [{ job: "deploy", key: "{{data.pipeline.project.slug}}/deploy" }],
    samples: [
      {
        job: { name: "deploy", data: { pipeline: { project: { slug: "gh/acme/web" } } } },
        keys: ["gh/acme/web/deploy"],
      },
    ],
  },
  {
    what: "a serial group that all projects of an organisation share",
    from: "circleci.com/docs/guides/orchestrate/serial-group-recipes, one deployment at a time",
    rules: [{ job: "deploy", key: "deploy/staging", maxWait: "5h", onMaxWait: "skip" }],
    samples: [
      {
        job: { name: "deploy" },
        keys: ["deploy/staging"],
        with: { maxWait: 18_000_000, onMaxWait: "skip" },
      },
    ],
  },
  {
    what: "a mutex by a parameter, in a namespace",
    from: "github.com/argoproj/argo-workflows docs/synchronization.md",
    rules: [
      { queue: "argo", key: "{{data.namespace ?? 'default'}}/mutex/{{data.parameters.cluster}}" },
    ],
    samples: [
      {
        job: { queueName: "argo", data: { parameters: { cluster: "eu" } } },
        keys: ["default/mutex/eu"],
      },
      {
        job: { queueName: "argo", data: { namespace: "foo", parameters: { cluster: "eu" } } },
        keys: ["foo/mutex/eu"],
      },
    ],
  },
  {
    what: "several mutexes at once",
    from: "github.com/argoproj/argo-workflows docs/synchronization.md, multiple locks",
    rules: [
      { queue: "argo", key: ["mutex:{{data.mutexes[*].name}}", "workflow:{{data.template}}"] },
    ],
    samples: [
      {
        job: {
          queueName: "argo",
          data: { template: "build", mutexes: [{ name: "b" }, { name: "a" }] },
        },
        keys: ["mutex:a", "mutex:b", "workflow:build"],
      },
      {
        job: { queueName: "argo", data: { template: "build", mutexes: [] } },
        keys: "an empty array",
      },
    ],
  },
  {
    what: "an exclusive lock of an environment, the latest of those that wait",
    from: "learn.microsoft.com/azure/devops/pipelines, lockBehavior: runLatest",
    rules: [
      { when: { "data.lockBehavior": "sequential" }, key: "env:{{data.environment}}" },
      { key: "env:{{data.environment}}", onConflict: "keepLatest" },
    ],
    samples: [
      {
        job: { data: { environment: "prod", lockBehavior: "sequential" } },
        keys: ["env:prod"],
        with: { onConflict: "delay" },
      },
      {
        job: { data: { environment: "prod" } },
        keys: ["env:prod"],
        with: { onConflict: "keepLatest" },
      },
    ],
  },
];
