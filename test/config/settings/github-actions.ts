import type { Setting } from "./setting.ts";

/** Concurrency groups. A group name ignores case, `head_ref` is empty on a push, and a newer run replaces one that waits. */
export const githubActions: readonly Setting[] = [
  {
    what: "a run for each pull request, or for each commit of a branch; started by hand it is another",
    from: "github.com/pytorch/pytorch .github/workflows/pull.yml",
    rules: [
      {
        queue: "workflows",
        when: { "data.event_name": "workflow_dispatch" },
        key: "{{lower(data.workflow)}}-{{data.event.pull_request.number || data.sha}}-true",
        onConflict: "cancelInProgress",
      },
      {
        queue: "workflows",
        key: "{{lower(data.workflow)}}-{{data.event.pull_request.number || data.sha}}-false",
        onConflict: "cancelInProgress",
      },
    ],
    samples: [
      {
        job: {
          queueName: "workflows",
          data: {
            workflow: "Pull",
            event_name: "pull_request",
            event: { pull_request: { number: 7 } },
          },
        },
        keys: ["pull-7-false"],
        with: { onConflict: "cancelInProgress" },
      },
      {
        job: {
          queueName: "workflows",
          data: { workflow: "pull", event_name: "workflow_dispatch", event: {}, sha: "0a1b" },
        },
        keys: ["pull-0a1b-true"],
      },
    ],
  },
  {
    what: "the branch of a pull request; each push has a group of its own",
    from: "github.com/nodejs/node .github/workflows/test-linux.yml",
    rules: [
      {
        key: "{{lower(data.workflow)}}-{{lower(data.head_ref || data.run_id)}}",
        onConflict: "cancelInProgress",
      },
    ],
    samples: [
      {
        job: { data: { workflow: "Test Linux", head_ref: "Fix-Timers", run_id: 9 } },
        keys: ["test%20linux-fix%2Dtimers"],
      },
      {
        job: { data: { workflow: "Test Linux", head_ref: "", run_id: 9 } },
        keys: ["test%20linux-9"],
      },
      {
        job: { data: { workflow: "Test Linux", head_ref: "" } },
        keys: "data.run_id: found nothing",
      },
    ],
  },
  {
    what: "the ref and the number of a pull request, else the commit",
    from: "github.com/astral-sh/ruff .github/workflows/ci.yaml",
    rules: [
      {
        key: "{{data.workflow}}-{{data.ref_name}}-{{data.event.pull_request.number || data.sha}}",
        onConflict: "cancelInProgress",
      },
    ],
    samples: [
      {
        job: {
          data: {
            workflow: "CI",
            ref_name: "7/merge",
            sha: "ab",
            event: { pull_request: { number: 7 } },
          },
        },
        keys: ["CI-7/merge-7"],
      },
      {
        job: { data: { workflow: "CI", ref_name: "main", sha: "ab", event: {} } },
        keys: ["CI-main-ab"],
      },
    ],
  },
  {
    what: "one deployment of the pages at a time, the newest that waits, and none is cut off",
    from: "github.com/actions/starter-workflows pages/static.yml",
    rules: [{ queue: "pages", key: "pages", onConflict: "keepLatest" }],
    samples: [{ job: { queueName: "pages" }, keys: ["pages"], with: { onConflict: "keepLatest" } }],
  },
  {
    what: "cancel what is not on the main branch",
    from: "cancel-in-progress: github.ref != refs/heads/main, in public workflows",
    rules: [
      { when: { "data.ref": "refs/heads/main" }, key: "{{data.workflow}}-{{data.ref}}" },
      { key: "{{data.workflow}}-{{data.ref}}", onConflict: "cancelInProgress" },
    ],
    samples: [
      {
        job: { data: { workflow: "Test", ref: "refs/heads/main" } },
        keys: ["Test-refs/heads/main"],
        with: { onConflict: "delay" },
      },
      {
        job: { data: { workflow: "Test", ref: "refs/heads/a-b" } },
        keys: ["Test-refs/heads/a%2Db"],
        with: { onConflict: "cancelInProgress" },
      },
    ],
  },
  {
    what: "cancel pull requests only, and never a push",
    from: "cancel-in-progress: github.event_name == pull_request, in public workflows",
    rules: [
      {
        when: { "data.event_name": ["pull_request", "pull_request_target"] },
        key: "ci-{{data.event.pull_request.number}}",
        onConflict: "cancelInProgress",
      },
      { key: "ci-{{data.ref}}" },
    ],
    samples: [
      {
        job: { data: { event_name: "pull_request", event: { pull_request: { number: 3 } } } },
        keys: ["ci-3"],
        with: { onConflict: "cancelInProgress" },
      },
      {
        job: { data: { event_name: "push", ref: "refs/heads/main" } },
        keys: ["ci-refs/heads/main"],
        with: { onConflict: "delay" },
      },
    ],
  },
  {
    what: "a release branch waits, all others are cancelled",
    from: "docs.github.com, Control the concurrency of workflows and jobs",
    rules: [
      { when: { "data.ref": "refs/heads/release/*" }, key: "{{data.workflow}}-{{data.ref}}" },
      { key: "{{data.workflow}}-{{data.ref}}", onConflict: "cancelInProgress" },
    ],
    samples: [
      {
        job: { data: { workflow: "ci", ref: "refs/heads/release/1/x" } },
        keys: ["ci-refs/heads/release/1/x"],
        with: { onConflict: "delay" },
      },
      {
        job: { data: { workflow: "ci", ref: "refs/heads/rel" } },
        keys: ["ci-refs/heads/rel"],
        with: { onConflict: "cancelInProgress" },
      },
    ],
  },
  {
    what: "the groups prod and Prod are one",
    from: "docs.github.com: the concurrency group name is case insensitive",
    rules: [{ key: "{{lower(data.group)}}", onConflict: "keepLatest" }],
    samples: [
      { job: { data: { group: "Prod" } }, keys: ["prod"] },
      { job: { data: { group: "prod" } }, keys: ["prod"] },
    ],
  },
  {
    what: "a merge queue by its own group, a run by hand alone",
    from: "group: workflow, event name, run id or ref, in public workflows",
    rules: [
      {
        when: { "data.event_name": "workflow_dispatch" },
        key: "{{data.workflow}}-manual-{{data.run_id}}",
      },
      { key: "{{data.workflow}}-{{data.event_name}}-{{data.ref}}", onConflict: "cancelInProgress" },
    ],
    samples: [
      {
        job: { data: { workflow: "ci", event_name: "merge_group", ref: "gh/q-1" } },
        keys: ["ci-merge_group-gh/q%2D1"],
      },
      {
        job: { data: { workflow: "ci", event_name: "workflow_dispatch", run_id: 5 } },
        keys: ["ci-manual-5"],
      },
    ],
  },
  {
    what: "a deployment for each environment, but for previews",
    from: "environment deployments in public workflows",
    rules: [
      { queue: "deploy", when: { "data.environment": "preview-*" }, key: null },
      { queue: "deploy", key: "deploy:{{lower(data.environment)}}" },
    ],
    samples: [
      { job: { queueName: "deploy", data: { environment: "preview-12" } }, keys: null },
      {
        job: { queueName: "deploy", data: { environment: "Production" } },
        keys: ["deploy:production"],
      },
      { job: { queueName: "deploy", data: {} }, keys: "data.environment: found nothing" },
    ],
  },
];
