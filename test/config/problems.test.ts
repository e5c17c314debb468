import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { defineLocks, LockRulesError, type LockRules } from "../../src/config/index.ts";
import { LockConfigError } from "../../src/errors.ts";
import { errorOf, problemsOf, line } from "./support.ts";

const NODES = "nodes: [redis://lock-1, redis://lock-2, redis://lock-3]";
const FULL = `${NODES}
ttl: 15s
rules:
  - queue: invoices
    key: "account:{{data.accountId}}"
`;

describe("a rules file with problems", () => {
  it("reports all of them in the order of the file, each with its line and a caret", async () => {
    const error = await errorOf(
      `nodes:
  - redis://lock-1:6379
  - redis://LOCK-1:6379/4
ttl: 10sec
maxtl: 60s
rules:
  - queue: "report-*"
    key: "report:{{dta.date}}"
    onConflict: skipp
  - queue: report-a
    key: null
  - job: nightly
`,
    );
    expect(error).toBeInstanceOf(LockConfigError);
    expect(error).toMatchObject({
      code: "ERR_REDLOCK_CONFIG",
      line: 3,
      column: 5,
      path: "nodes[1]",
    });
    const file = error?.file ?? "";
    expect(error?.message.replaceAll(file, "FILE")).toBe(`7 problems
FILE:3:5  nodes[1]: found the same server as nodes[0], expected another server: two votes of one server are one
FILE:4:6  ttl: found "10sec", expected whole milliseconds, or a duration such as "30s" or "5m"; did you mean "10s"?
    ttl: 10sec
         ^
FILE:5:1  maxtl: found an unknown option, expected "maxTtl"?
    maxtl: ***
    ^
FILE:8:20  rules[0].key: found "dta", expected data, name, id, queueName or opts; did you mean "data"?
        key: "report:{{dta.date}}"
                       ^
FILE:9:17  rules[0].onConflict: found "skipp", expected one of "delay", "wait", "skip", "fail", "keepLatest", "cancelInProgress"; did you mean "skip"?
        onConflict: skipp
                    ^
FILE:10:5  rules[1]: found a rule that no job reaches, because rules[0] matches all of its jobs, expected the special rule before the general one
      - queue: report-a
        ^
FILE:12:5  rules[2].key: found nothing, expected a template such as "account:{{data.accountId}}", a list of them, or null for jobs that need no lock
      - job: nightly
        ^`);
  });

  it.each<[what: string, text: string, ...problems: string[]]>([
    ["only a comment", "# later\n", "1:1 : found nothing, expected nodes and rules"],
    ["a text", "later", "1:1 : found a text, expected nodes and rules"],
    ["a list", "- a", "1:1 : found an array of 1, expected nodes and rules"],
    [
      "nothing but an option",
      "ttl: 15s",
      "1:1 nodes: found nothing, expected a list of lock masters, best three or five",
      "1:1 rules: found nothing, expected a list of rules, each with a key; the first that matches counts",
    ],
    [
      "empty values",
      "nodes:\nrules:\n",
      "1:1 nodes: found nothing, expected a list of lock masters, best three or five",
      "2:1 rules: found nothing, expected a list of rules, each with a key; the first that matches counts",
    ],
    [
      "empty lists",
      "nodes: []\nrules: []\n",
      "1:8 nodes: found an empty list, expected a list of lock masters, best three or five",
      "2:8 rules: found an empty list, expected a list of rules, each with a key; the first that matches counts",
    ],
    [
      "wrong masters",
      "nodes: [5, http://h, redis://, {port: 0}, {sentinels: []}, redis://h?db=1, {cluster: x}, redis://ok]\nrules: [{key: a}]",
      '1:9 nodes[0]: found a number, expected a URL such as "redis://lock-1:6379", or an object with host, port and more',
      '1:12 nodes[1]: found a URL with the scheme "http:", expected a URL like "redis://host:6379/0"',
      '1:22 nodes[2]: found a URL without a host, expected a URL like "redis://host:6379/0"',
      "1:39 nodes[3].port: found 0, expected a port from 1 to 65535",
      "1:55 nodes[4].sentinels: found an empty array, expected one independent master: a failover or a move of slots would lose locks",
      '1:60 nodes[5]: found a URL with a query; give an options object instead, expected a URL like "redis://host:6379/0"',
      "1:86 nodes[6].cluster: found a text, expected one independent master: a failover or a move of slots would lose locks",
    ],
    [
      "masters with wrong parts",
      "nodes:\n  - {hots: lock-1, port: 1}\n  - host: lock-2\n    pasword: x\n    colour: red\n    port: y\n  - {}\n  - {host: lock-3, tls: yes}\nrules: [{key: a}]",
      '2:6 nodes[0]: found an unknown option, expected "host"?',
      '4:5 nodes[1]: found an unknown option, expected "password"?',
      "7:5 nodes[2]: found an object that does not say where the master is, expected host, port, path or url",
      "8:25 nodes[3].tls: found a text, expected an object of options for tls.connect, {} for none of them",
    ],
    [
      "options of a Redlock that cannot work together",
      `${NODES}\nttl: 20s\nmaxTtl: 10s\nheartbeat: 19s\nnodeTimeout: 5\nrules: [{key: a}]`,
      '3:9 maxTtl: found "10s" (10000 ms), expected whole milliseconds from 20000 to 1800000',
      '4:12 heartbeat: found "19s" (19000 ms), expected false, or whole milliseconds from 10 to 17698: a ttl of 20000 ms must be extended before its end',
      "5:14 nodeTimeout: found 5, expected whole milliseconds from 10 to 60000",
    ],
    [
      "a wrong ttl, from which nothing else follows",
      `${NODES}\nttl: 2h\nmaxTtl: 3m\nheartbeat: 1m\nnodeTimeout: 20s\nrules: [{key: a, ttl: 4m}]`,
      '2:6 ttl: found "2h" (7200000 ms), expected whole milliseconds from 1 to 1800000',
    ],
    [
      "a ttl above maxTtl",
      `${NODES}\nmaxTtl: 30s\nrules:\n- key: a\n  ttl: 60s\n- key: b\n  ttl: 30s`,
      '5:8 rules[0].ttl: found "60s" (60000 ms), expected at most 30000 ms, the maxTtl of all rules; raise maxTtl at the top to "60s"',
      "6:3 rules[1]: found a rule that no job reaches, because rules[0] matches all of its jobs, expected the special rule before the general one",
    ],
    [
      "a ttl that no master could grant",
      `${NODES}\nrules: [{key: a, ttl: 10ms}]`,
      '2:23 rules[0].ttl: found "10ms" (10 ms), expected at least 108 ms: a shorter lock would end before its masters have answered',
    ],
    [
      "durations above maxTtl",
      `${NODES}\nttl: 30s\nminHold: 2m\nrules: [{key: a, minHold: 60s}, {key: b, ttl: 1h, minHold: 1d}]`,
      '3:10 minHold: found "2m" (120000 ms), expected at most 30000 ms, the maxTtl of all rules; raise maxTtl at the top to "2m"',
      '4:27 rules[0].minHold: found "60s" (60000 ms), expected at most 30000 ms, the maxTtl of all rules; raise maxTtl at the top to "60s"',
      "4:33 rules[1]: found a rule that no job reaches, because rules[0] matches all of its jobs, expected the special rule before the general one",
      '4:47 rules[1].ttl: found "1h" (3600000 ms), expected at most 1800000 ms, half of the hour for which masters remember a key',
      '4:60 rules[1].minHold: found "1d" (86400000 ms), expected at most 1800000 ms, half of the hour for which masters remember a key',
    ],
    [
      "a rule behind one whose jobs are unknown, because a name in it is",
      `${NODES}\nrules:\n- {jobs: charge, key: a}\n- {key: b}\n- {job: c, key: c}`,
      "3:4 rules[0].jobs: found an unknown option, expected job",
      "5:3 rules[2]: found a rule that no job reaches, because rules[1] matches all of its jobs, expected the special rule before the general one",
    ],
    [
      "options without an effect, but for defaults of several rules",
      `${NODES}\nwaitTimeout: 9s\nonMaxWait: skip\nrules:\n- {key: a, job: a, onConflict: wait, waitTimeout: 1s}\n- {key: a, job: b, waitTimeout: "5s", onMaxWait: fail}\n- {key: a, job: c, onMaxWait: fail, maxWait: no}\n- {key: a, maxAge: 1d, onMaxWait: fail}`,
      '6:33 rules[1].waitTimeout: found "5s" (5000 ms), expected onConflict: "wait" beside it, without which it has no effect',
      '6:50 rules[1].onMaxWait: found "fail", expected maxWait or maxAge beside it, without which it has no effect',
      '7:46 rules[2].maxWait: found "no", expected whole milliseconds, or a duration such as "30s" or "5m"',
    ],
    [
      "options whose effect is that of a default",
      `${NODES}\nonConflict: wait\nmaxWait: 1h\nrules:\n- {key: a, job: a, waitTimeout: 1s, onMaxWait: skip}\n- {key: a, onConflict: skip, waitTimeout: 1s}`,
      '6:43 rules[1].waitTimeout: found "1s" (1000 ms), expected onConflict: "wait" beside it, without which it has no effect',
    ],
    [
      "words of other systems",
      `${NODES}\nconcurrency: 5\nrules:\n- {key: a, job: a, on_conflict: x, onConflict: discard}\n- {job: b, key: a, expireAfter: 5m, maxRuns: 2, cancel-in-progress: true, onConflict: replace}\n- {job: c, key: a, if: x, group: g, lockAtLeastFor: 5s, onConflict: reschedule, onMaxWait: raise}`,
      "2:1 concurrency: found an unknown option, expected limit, how many jobs may hold a key at the same time",
      '4:20 rules[0].on_conflict: found an unknown option, expected "onConflict"?',
      meant("4:48 rules[0]", "discard", "skip"),
      "5:20 rules[1].expireAfter: found an unknown option, expected ttl, which is extended while the job runs; maxHold for how long a job may run, maxWait for how long it may wait, maxAge for how old it may be when it starts",
      "5:37 rules[1].maxRuns: found an unknown option, expected limit, how many jobs may hold a key at the same time",
      "5:49 rules[1].cancel-in-progress: found an unknown option, expected onConflict: cancelInProgress",
      meant("5:87 rules[1]", "replace", "keepLatest"),
      "6:20 rules[2].if: found an unknown option, expected when, such as when: { data.ref: refs/heads/main }",
      '6:27 rules[2].group: found an unknown option, expected key, a template such as "deploy:{{data.environment}}"',
      "6:37 rules[2].lockAtLeastFor: found an unknown option, expected minHold",
      meant("6:69 rules[2]", "reschedule", "delay"),
      '6:92 rules[2].onMaxWait: found "raise", expected one of "fail", "skip"; did you mean "fail"?',
    ],
    [
      "a star without quotes",
      `${NODES}\nrules: [{queue: a, key: x}]\nttl: *`,
      '3:6 : found * without quotes, expected "*": YAML does not allow this character at the start of a text without quotes',
    ],
    [
      "patterns without quotes",
      `${NODES}\nrules:\n- queue: *report\n  key: a\n`,
      "3:10 rules[0].queue: found an alias without an anchor, expected quotes around a text that begins with *",
    ],
    [
      "an exclamation mark without quotes",
      `${NODES}\nrules:\n- queue: !emails\n  key: "@a"\n- key: @b\n- queue: %x\n  key: c`,
      "3:3 rules[0].queue: found a tag, expected plain values, and quotes around a text that begins with !",
      '4:9 rules[0].key: found "@", expected another first character: that one is reserved',
      '5:8 : found @b without quotes, expected "@b": YAML does not allow this character at the start of a text without quotes',
      '6:10 : found %x without quotes, expected "%x": YAML does not allow this character at the start of a text without quotes',
    ],
    [
      "a comment of JavaScript",
      `{"nodes": ["redis://h"], "rules": [{"key": "a"}], // x\n "ttl": 5000}`,
      "1:51 : found an unknown option, expected # before a comment",
    ],
    [
      "wrong numbers",
      `${NODES}\ndriftFactor: 0.21\nttl: 1.5\nrules: [{key: a, maxWait: 1.5ms, waitTimeout: 0s}]`,
      "2:14 driftFactor: found 0.21, expected a number from 0 to 0.2",
      '3:6 ttl: found 1.5, expected whole milliseconds, or a duration such as "30s" or "5m"',
      '4:27 rules[0].maxWait: found "1.5ms", expected a duration of whole milliseconds',
      '4:47 rules[0].waitTimeout: found "0s" (0 ms), expected whole milliseconds from 1 to 2147483647, the longest that a timer can wait (24 days)',
    ],
    [
      "choices that are none, of the rules and for all of them",
      `${NODES}\nrestartGuard: trustnew\nonLost: fails\nrules: [{key: a, heartbeat: true, jobLogs: no}]`,
      '2:15 restartGuard: found "trustnew", expected one of true, "trust-new", false; did you mean "trust-new"?',
      '3:9 onLost: found "fails", expected one of "delay", "fail", "continue"; did you mean "fail"?',
      '4:29 rules[0].heartbeat: found true, expected whole milliseconds, or a duration such as "30s" or "5m"; or false for none',
      '4:44 rules[0].jobLogs: found "no", expected one of "conflicts", "off", "all"',
    ],
    [
      "options in the wrong place",
      `${NODES}\nkey: a\nrules: [{key: a, nodes: [], redlock: x, maxTtl: 5s, onConflikt: skip}]`,
      "2:1 key: found an unknown option, expected one of nodes, onConflict, order, retryOrder, onUnavailable, onLost, ttl, heartbeat, waitTimeout, limit, maxWait, maxAge, maxHold, minHold, onMaxWait, jobLogs, maxTtl, nodeTimeout, driftFactor, prefix, restartGuard, clockSkewBudget, rules",
      ...["3:18 rules[0].nodes", "3:29 rules[0].redlock", "3:41 rules[0].maxTtl"].map(
        (place) =>
          `${place}: found an unknown option, expected one of queue, job, when, unless, key, onConflict, order, retryOrder, onUnavailable, onLost, ttl, heartbeat, waitTimeout, limit, maxWait, maxAge, maxHold, minHold, onMaxWait, jobLogs`,
      ),
      '3:53 rules[0].onConflikt: found an unknown option, expected "onConflict"?',
    ],
    [
      "wrong rules",
      `${NODES}\nrules: [7, {queue: 5, key: 3}, {queue: "", key: ""}, {}]`,
      '2:9 rules[0]: found a number, expected a rule, such as { queue: "invoices", key: "account:{{data.accountId}}" }',
      '2:20 rules[1].queue: found 5, expected a name, or a pattern with * and ? such as "report-*", or a list of them',
      '2:28 rules[1].key: found 3, expected a template such as "account:{{data.accountId}}", a list of them, or null for jobs that need no lock',
      '2:40 rules[2].queue: found "", expected a name, or a pattern with * and ? such as "report-*", or a list of them',
      "2:49 rules[2].key: found an empty template, expected at least one character",
      '2:54 rules[3].key: found nothing, expected a template such as "account:{{data.accountId}}", a list of them, or null for jobs that need no lock',
    ],
    [
      "templates in every kind of quotes",
      `${NODES}\nrules:\n- {queue: a, key: "a:{{dta}}"}\n- {queue: b, key: 'a:{{dta}}'}\n- queue: c\n  key: a:{{dta}}\n- queue: d\n  key: "\\u0061:{{dta}}"\n- queue: e\n  key: >-\n    a:{{dta}}`,
      ...["3:24", "4:24", "6:12", "8:8", "11:9"].map(
        (place, index) =>
          `${place} rules[${index}].key: found "dta", expected data, name, id, queueName or opts; did you mean "data"?`,
      ),
    ],
    [
      "problems beside others in the same rule, and in the same template",
      `${NODES}
rules:
- when: { data.a: {}, dta.b: x, data..c: y }
  key: ['k:{{dta.x}}', 'l:{{dat.y}}', 5]
- key: "{{dta.x}}:{{data.y}}:{{dat.z}}:{{data.z"
  unless: { data.a: [1, {}, "a|b"], "data.[]": [[]] }
`,
      '3:19 rules[0].when["data.a"]: found an empty object, expected a text, a pattern, a number, true, false or null, or a list of them',
      `3:23 rules[0].when["dta.b"]: ${notData("dta")}`,
      `3:38 rules[0].when["data..c"]: found ".", expected a name; others are quoted: data["odd name"]`,
      `4:14 rules[0].key[0]: ${notData("dta")}`,
      `4:29 rules[0].key[1]: ${notData("dat")}`,
      '4:39 rules[0].key[2]: found 5, expected a template such as "account:{{data.accountId}}", a list of them, or null for jobs that need no lock',
      `5:11 rules[1].key: ${notData("dta")}`,
      `5:32 rules[1].key: ${notData("dat")}`,
      "5:40 rules[1].key: found {{ without an end, expected }} after it",
      '6:25 rules[1].unless["data.a"][1]: found an empty object, expected a text, a pattern, a number, true, false or null, or a list of them',
      expect.stringContaining('6:29 rules[1].unless["data.a"][2]: found "a|b"') as string,
      expect.stringContaining('6:43 rules[1].unless["data.[]"]: found "["') as string,
      '6:49 rules[1].unless["data.[]"][0]: found an empty list, expected a text, a pattern, a number, true, false or null, or a list of them',
    ],
    [
      "wrong options that depend on a wrong ttl",
      `${NODES}
ttl: 0
maxTtl: 31m
heartbeat: 0s
rules: [{key: a, ttl: 0, heartbeat: 1h, minHold: 2h}]`,
      "2:6 ttl: found 0, expected whole milliseconds from 1 to 1800000",
      "5:23 rules[0].ttl: found 0, expected whole milliseconds from 1 to 1800000",
      '5:50 rules[0].minHold: found "2h" (7200000 ms), expected at most 1800000 ms, half of the hour for which masters remember a key',
    ],
    [
      "syntax problems, which hide no others",
      `${NODES}
ttl: 5sec
ttl: @x
nodeTimeout: *none
rules:
- queue: !!str a
  job: ! b
  when: !x {data.a: 1}
  !!str onLost: fail
  key: @b
- {[a]: 1, key: "{{dta}}"}
- key: "{{dta}}"
--- # next
a: b`,
      "3:1 : found ttl a second time, expected each name once",
      '3:6 : found @x without quotes, expected "@x": YAML does not allow this character at the start of a text without quotes',
      "4:14 nodeTimeout: found an alias without an anchor, expected quotes around a text that begins with *",
      ...[
        "6:16 rules[0].queue",
        "7:10 rules[0].job",
        "8:12 rules[0].when",
        "9:9 rules[0].onLost",
      ].map(
        (place) =>
          `${place}: found a tag, expected plain values, and quotes around a text that begins with !`,
      ),
      '10:8 : found @b without quotes, expected "@b": YAML does not allow this character at the start of a text without quotes',
      "11:4 : found a name that is no text, expected the name of an option",
      `12:11 rules[2].key: ${notData("dta")}`,
      "13:1 : found a second document, expected one",
    ],
    [
      "rules and conditions that are lists",
      `${NODES}\nrules: [[{key: a}], {when: [data.a], key: b}]`,
      '2:9 rules[0]: found an array of 1, expected a rule, such as { queue: "invoices", key: "account:{{data.accountId}}" }',
      "2:28 rules[1].when: found an array of 1, expected paths with what they must be, such as { data.ref: refs/heads/main }",
    ],
    [
      "duplicate names",
      `${NODES}\nttl: 15s\nttl: 10s\nrules:\n- key: a\n  "key": b\n  onConflict: skp`,
      "3:1 : found ttl a second time, expected each name once",
      '6:3 : found "key" a second time, expected each name once',
      '7:15 rules[0].onConflict: found "skp", expected one of "delay", "wait", "skip", "fail", "keepLatest", "cancelInProgress"; did you mean "skip"?',
    ],
    [
      "a template and a variable without quotes",
      `nodes: [\${A}]\nrules:\n- key: {{data.x}}\n`,
      '1:10 : found braces that are read as an object, expected a variable in quotes: "${NAME}"',
    ],
    [
      "templates without quotes",
      `${NODES}\nrules:\n- job: a\n  key: {{data.x}}\n- key: {{data.y}}\n`,
      ...["4:9", "5:9"].map(
        (place) =>
          `${place} : found braces that are read as an object, expected a template in quotes: "account:{{data.accountId}}"`,
      ),
    ],
    [
      "a variable without quotes between braces, from which nothing else follows",
      `ttl: 1\nttl: 2\nnodes: [{host: h, port: \${PORT}}]\nrules:\n- key: a\n- key: @b`,
      "2:1 : found a name a second time, expected each name once",
      '3:26 : found braces that are read as an object, expected a variable in quotes: "${NAME}"',
    ],
    [
      "a brace before a text, from which nothing else follows",
      `nodes:\n- host: h\n  password: }x\n  port: 1\nrules:\n- key: a\n- key: b`,
      "3:13 : found text that is no YAML: Unexpected flow-map-end token in YAML stream, expected YAML or JSON",
    ],
    [
      "a stray quote, from which nothing else follows",
      `nodes: ["redis://h, "redis://i"]\nrules:\n- key: "a"\n  job: "b"\n- key: "c"`,
      "1:22 : found text that is no YAML: Missing , or : between flow sequence items, expected YAML or JSON",
    ],
    [
      "words of other languages for nothing",
      `${NODES}
rules:
- {job: a, key: undefined}
- {job: b, key: [NaN, x]}
- {job: None, key: None}
- {when: {data.a: undefined, data.b: [x, None]}, unless: {data.c: nil}, key: "undefined"}
`,
      ...[
        ["3:17 rules[0].key", "undefined"],
        ["4:18 rules[1].key[0]", "NaN"],
        ["5:9 rules[2].job", "None"],
        ["5:20 rules[2].key", "None"],
        ['6:19 rules[3].when["data.a"]', "undefined"],
        ['6:42 rules[3].when["data.b"][1]', "None"],
        ['6:67 rules[3].unless["data.c"]', "nil"],
      ].map(
        ([place, word]) => `${place}: found ${word}, expected "${word}" in quotes, if it is a text`,
      ),
    ],
    [
      "comments that cut a text off",
      `${NODES}
prefix: a #\${B}
rules:
- key: order #{{data.id}}
  job: a
- key: a:{{data.a}} #{{data.b}}
  job: b
- key:
  - a
  - b #{{data.b}}
  job: c
- {job: d, key: c # {{data.c}}
  }
- job: e
  key: >-
    e #{{data.id}}
- job: f # {{data.x}}
  key: "f" # {{data.x}}
`,
      ...[
        "2:9 prefix",
        "4:8 rules[0].key",
        "6:8 rules[1].key",
        "10:5 rules[2].key[1]",
        "12:17 rules[3].key",
      ].map(
        (place) =>
          `${place}: found a comment with a part of the text in it, expected quotes around all of the text, or around the part before the comment`,
      ),
    ],
    [
      "a tab",
      `${NODES}\nrules:\n\t- key: a`,
      "3:1 : found text that is no YAML: Tabs are not allowed as indentation, expected YAML or JSON",
    ],
    [
      "a key that was forgotten, which YAML would take for null",
      `${NODES}\nrules:\n- queue: a\n  key:\n- queue: b\n  key: # account\n- {queue: c, key: }\n- {queue: d, key: null}\n- {queue: e, key: ~}`,
      ...["4:3", "6:3", "7:14"].map(
        (place, index) =>
          `${place} rules[${index}].key: found nothing, expected a template such as "account:{{data.accountId}}", a list of them, or null for jobs that need no lock`,
      ),
    ],
    [
      "an open quote",
      `${NODES}\nrules:\n- key: "a\n\n`,
      '3:10 : found text that is no YAML: Missing closing "quote, expected YAML or JSON',
    ],
    [
      "a list for a name",
      `${NODES}\n? [a]\n: 1\nrules: [{key: a}]`,
      "2:3 : found a name that is no text, expected the name of an option",
    ],
    [
      "the line ends of an old Macintosh",
      `${NODES}\rttl: 10sec\rrules:\r- key: "{{dta}}"\r`,
      '2:6 ttl: found "10sec", expected whole milliseconds, or a duration such as "30s" or "5m"; did you mean "10s"?',
      '4:11 rules[0].key: found "dta", expected data, name, id, queueName or opts; did you mean "data"?',
    ],
    ["two documents", `${FULL}---\n${FULL}`, "6:1 : found a second document, expected one"],
    [
      "an alias without an anchor",
      `${NODES}\nrules: *none`,
      "2:8 rules: found an alias without an anchor, expected quotes around a text that begins with *",
    ],
    [
      "a tag",
      `${NODES}\nrules: !!js/function [{key: a}]`,
      "2:22 rules: found a tag, expected plain values, and quotes around a text that begins with !",
    ],
    [
      "an open bracket",
      "nodes: [redis://h\nrules: [",
      "2:1 : found text that is no YAML: Flow sequence in block collection must be sufficiently indented and end with a ], expected YAML or JSON",
    ],
    [
      "an item of the list without anything",
      `${NODES}\nrules:\n  - key: a\n  -\n`,
      '4:4 rules[1]: found nothing, expected a rule, such as { queue: "invoices", key: "account:{{data.accountId}}" }',
    ],
    [
      "a default that does not fit the option of a rule, beside another problem",
      `${NODES}\norder: strict\nrules:\n  - {queue: a, key: a, jobLogs: 3}\n  - {queue: b, key: b, onConflict: wait}`,
      '4:33 rules[0].jobLogs: found 3, expected one of "conflicts", "off", "all"',
      '5:5 rules[1].order: found "strict" at the top, expected "arrival" with onConflict: "wait", whose jobs are not strictly in order',
    ],
    [
      "an option of a rule that does not fit the default",
      `${NODES}\nonConflict: cancelInProgress\nrules:\n  - {key: a, retryOrder: keep}`,
      '4:26 rules[0].retryOrder: found "keep", expected "rejoin" with onConflict: "cancelInProgress", by which a later job comes before a retry',
    ],
    [
      "no problem: a rule without a lock has no use for the defaults",
      `${NODES}\norder: strict\nrules:\n  - {key: null, onConflict: wait}`,
    ],
    [
      "names that every object has",
      `${NODES}\n__proto__: {ttl: 5}\nconstructor: 1\nrules: [{key: a, toString: 1}]`,
      ...["2:1 __proto__", "3:1 constructor"].map(
        (place) =>
          `${place}: found an unknown option, expected one of nodes, onConflict, order, retryOrder, onUnavailable, onLost, ttl, heartbeat, waitTimeout, limit, maxWait, maxAge, maxHold, minHold, onMaxWait, jobLogs, maxTtl, nodeTimeout, driftFactor, prefix, restartGuard, clockSkewBudget, rules`,
      ),
      "4:18 rules[0].toString: found an unknown option, expected one of queue, job, when, unless, key, onConflict, order, retryOrder, onUnavailable, onLost, ttl, heartbeat, waitTimeout, limit, maxWait, maxAge, maxHold, minHold, onMaxWait, jobLogs",
    ],
  ])("has %s", async (_, text, ...problems) => {
    expect((await problemsOf(text)).map(line)).toEqual(problems);
  });

  it("has the caret at the right column after wide and combining characters", async () => {
    const error = await errorOf(
      `${NODES}\nrules: [{queue: "日本語🙂", key: "e\u0301:{{dta.x}}"}]\n`,
    );
    expect(error).toMatchObject({ line: 2, column: 37 });
    const [, shown = "", caret = ""] = error?.message.split("\n") ?? [];
    expect(shown).toContain(`    rules: [{queue: "日本語🙂", key: "e\u0301:{{dta.x}}"}]`);
    // Four wide characters before it, and one mark without a width.
    expect(caret.length - 1).toBe(Array.from(shown.slice(0, shown.indexOf("dta"))).length + 4 - 1);
  });

  it("may be JSON", async () => {
    const text = JSON.stringify(
      { nodes: ["redis://h"], ttl: "5 min", rules: [{ key: "x:{{dta}}" }] },
      null,
      "\t",
    );
    expect((await problemsOf(text, {}, "rules.json")).map(line)).toEqual([
      '5:9 ttl: found "5 min", expected whole milliseconds, or a duration such as "30s" or "5m"; did you mean "5m"?',
      '8:16 rules[0].key: found "dta", expected data, name, id, queueName or opts; did you mean "data"?',
    ]);
  });

  it("reports each unreachable rule, and no reachable one", async () => {
    const rules = [
      ["a", "*"],
      ["b-*", "x"],
      ["*", "y"],
      ["b-1", "x"],
      ["b-1", "*"],
      ["c", "y"],
      ["?", "?"],
      ["*", "*"],
      ["a", "z"],
      ["*", "*"],
    ].map(([queue, job]) => `- {queue: "${queue}", job: "${job}", key: a}`);
    const problems = await problemsOf(`${NODES}\nrules:\n${rules.join("\n")}`);
    expect(problems.map(({ path, found }) => [path, /rules\[\d\]/.exec(found)?.[0]])).toEqual([
      ["rules[3]", "rules[1]"],
      ["rules[5]", "rules[2]"],
      ["rules[8]", "rules[0]"],
      ["rules[9]", "rules[7]"],
    ]);
  });
});

function notData(found: string): string {
  return `found "${found}", expected data, name, id, queueName or opts; did you mean "data"?`;
}

function meant(place: string, found: string, policy: string): string {
  return `${place}.onConflict: found "${found}", expected one of "delay", "wait", "skip", "fail", "keepLatest", "cancelInProgress"; did you mean "${policy}"?`;
}

describe("environment variables in nodes", () => {
  it("are replaced by their values, in parts of a master too", async () => {
    const text = `nodes:
  - \${ONE}
  - redis://:\${PASSWORD}@two:\${PORT}/1
  - {host: three, port: "\${PORT}", password: "\${PASSWORD}"}
rules: [{key: a}]
`;
    const environment = { ONE: "redis://one:7001", PASSWORD: "s3cret", PORT: "7002" };
    expect(await problemsOf(text, environment)).toEqual([]);
    // A problem of the values shows that they count.
    expect((await problemsOf(text, { ...environment, ONE: "redis://two:7002" })).map(line)).toEqual(
      [
        "3:5 nodes[1]: found the same server as nodes[0], expected another server: two votes of one server are one",
      ],
    );
    expect((await problemsOf(text, { ...environment, PORT: "x" })).map(line)).toEqual([
      '3:5 nodes[1]: found text that is not a URL, expected a URL like "redis://host:6379/0"',
      "4:25 nodes[2].port: found a text, expected a port from 1 to 65535",
    ]);
  });

  it("are reported with their positions when they are missing, empty or no names", async () => {
    const text = `nodes: ["redis://\${A}:\${B}", "\${EMPTY}", "redis://\${A-b}", "\${__proto__}"]\nrules: [{key: a}]`;
    expect((await problemsOf(text, { A: "h", EMPTY: "" })).map(line)).toEqual([
      "1:23 nodes[0]: found ${B}, which is not set, expected an environment variable with a value",
      "1:31 nodes[1]: found ${EMPTY}, which is empty, expected an environment variable with a value",
      "1:51 nodes[2]: found ${ without a name after it, expected the name of an environment variable: ${NAME}",
      "1:61 nodes[3]: found a variable, which is not set, expected an environment variable with a value",
    ]);
  });

  it("are replaced in prefix too, by the same rules", async () => {
    const text = `${NODES}\nprefix: "\${APP_ENV}:locks:"\nrules: [{key: a}]`;
    await using inCode = defineLocks(
      { nodes: ["redis://a"], prefix: "${A}", rules: [{ key: "a" }] },
      { environment: { A: "x".repeat(256) } },
    );
    inCode.redlock.on("warning", () => undefined);
    expect((await problemsOf(text, { APP_ENV: "" })).map(line)).toEqual([
      "2:10 prefix: found ${APP_ENV}, which is empty, expected an environment variable with a value",
    ]);
    // A problem of the value shows that it counts, and not the name.
    expect((await problemsOf(text, { APP_ENV: "x".repeat(250) })).map(line)).toEqual([
      expect.stringContaining("2:9 prefix: found "),
    ]);
  });

  it.each([
    ["$APP_ENV:", "$"],
    ["{{data.env}}:", "{{"],
    ["<%= env %>:", "<%"],
    ["$(APP_ENV):", "$"],
  ])("have one form: the prefix %s is refused", async (prefix, found) => {
    const text = `${NODES}\nprefix: "${prefix}"\nrules: [{key: a}]`;
    expect((await problemsOf(text)).map(line)).toEqual([
      `2:9 prefix: found "${found}", expected text, or \${NAME} for an environment variable`,
    ]);
  });

  it.each<[node: string, column: number, found: string]>([
    ["redis://:${PW@h", 12, "${ without an end, expected } after the name: ${NAME}"],
    ["redis://:${PW}@${HOST", 18, "${ without an end, expected } after the name: ${NAME}"],
    ["$PW", 2, "a variable in another form, expected ${NAME} for an environment variable"],
    ["{PW}", 2, "a variable in another form, expected ${NAME} for"],
    ["{{PW}}", 2, "a variable in another form, expected ${NAME} for"],
    ["$(PW)", 2, "a variable in another form, expected ${NAME} for"],
    ["%PW%", 2, "a variable in another form, expected ${NAME} for"],
  ])("are refused when they are incomplete: %s", async (written, column, found) => {
    const environment = { PW: "s3cr3t", HOST: "h" };
    const end = "rules: [{key: a}]";
    for (const [text, before, path] of [
      [`nodes: ["${written}"]\n${end}`, 7, "nodes[0]"],
      [`nodes: [{host: h, password: "${written}"}]\n${end}`, 27, "nodes[0].password"],
    ] as const) {
      const [problem, ...more] = (await problemsOf(text, environment)).map(line);
      expect(problem).toContain(`1:${before + column} ${path}: found ${found}`);
      expect(more).toEqual([]);
    }
  });

  it("are refused when they are incomplete in prefix too", async () => {
    const text = `${NODES}\nprefix: "a:\${PW"\nrules: [{key: a}]`;
    expect((await problemsOf(text)).map(line)).toEqual([
      "2:12 prefix: found ${ without an end, expected } after the name: ${NAME}",
    ]);
    // Braces alone are the hash tag of a cluster.
    expect(await problemsOf(text.replace("a:${PW", "{PW}"))).toEqual([]);
  });

  it("are not replaced elsewhere", async () => {
    expect(
      (await problemsOf(`${NODES}\nttl: \${TTL}\nrules: [{key: a}]`, { TTL: "15s" })).map(line),
    ).toEqual([
      '2:6 ttl: found "${TTL}", expected whole milliseconds, or a duration such as "30s" or "5m"',
    ]);
  });
});

describe("passwords", () => {
  const secret = "s3cr3t";
  it.each([
    `nodes: [redis://:${secret}@h1, redis://u:${secret}@h1, redis://h2]\nrules: [{key: a}]`,
    `nodes: [{host: h, password: ${secret}, prt: 1, port: x}]\nrules: [{key: a}]`,
    `nodes: [{"host": "h", "password": "${secret} ${secret}", "port": "x"}]\nrules: [{key: a}]`,
    `nodes: ["http://u:${secret}@h"]\nrules: [{key: a}]`,
    `nodes: ["redis://:%%${secret}@h"]\nrules: [{key: a}]`,
    `nodes: redis://:${secret}@h\nrules: [{key: a}]`,
    `nodes: ["redis://h1,redis://:${secret}@h2"]\nrules: [{key: a}]`,
    `nodes: [redis://:${secret}@h, \t"x\nrules: [`,
    `nodes: redis://:${secret}@h: 5\nrules: [{key: a}]`,
    `redis://:${secret}@h: 5\nredis://:${secret}@h: 5`,
    `redis://:${secret}@h`,
    `nodes: ["redis://u:${secret}\${B}@h"]\nrules: [{key: a}]`,
    `nodes: ["redis://u:\${B}${secret}@h"]\nrules: [{key: a}]`,
    `nodes: ["redis://u:a@${secret}, 'b c@h?q"]\nrules: [{key: a}]`,
    `nodes: ["redis://u:${secret}, ${secret} x@h?q"]\nrules: [{key: a}]`,
    `nodes: [{host: "", password: x${secret}, pass: "${secret} ${secret}"}]\nrules: [{key: a}]`,
  ])("are not shown: %s", async (text) => {
    const error = await errorOf(text);
    expect(error?.problems.length).toBeGreaterThan(0);
    expect(
      JSON.stringify([error?.message, error?.problems, error?.path, error?.found]),
    ).not.toContain(secret);
  });

  it("in the environment are not shown either", async () => {
    const environment = { URL: `http://u:${secret}@h`, PORT: secret };
    const error = await errorOf(
      'nodes: ["${URL}", "redis://h:${PORT}"]\nrules: [{key: a}]',
      environment,
    );
    expect(error?.problems).toHaveLength(2);
    expect(JSON.stringify([error?.message, error?.problems])).not.toContain(secret);
  });
});

describe("defineLocks", () => {
  it("reports all problems at once, without a file", () => {
    const rules = { nodes: ["redis://h"], ttl: "15", rules: [{ key: "a", onConflict: "x" }] };
    const error = errorBy(() => defineLocks(rules as unknown as LockRules));
    expect(error).toBeInstanceOf(LockRulesError);
    expect(error.message).toBe(`2 problems
ttl: found "15", expected whole milliseconds, or a duration such as "30s" or "5m"
rules[0].onConflict: found "x", expected one of "delay", "wait", "skip", "fail", "keepLatest", "cancelInProgress"`);
    expect(error).toMatchObject({ file: undefined, line: undefined, column: undefined });
  });

  it("accepts a client of ioredis as a master", async () => {
    const client = new Redis({ lazyConnect: true });
    await using locks = defineLocks({ nodes: [client, "redis://b"], rules: [{ key: "a" }] });
    locks.redlock.on("warning", () => undefined);
    client.disconnect();
  });

  it.each(["queue", "job", "when", "unless", "key"])(
    "refuses %s without a value: the rule would match too many jobs",
    (name) => {
      const rule = { queue: "a", job: "b", when: { name: "b" }, unless: { id: "c" }, key: "d" };
      for (const value of [undefined, name === "key" ? undefined : null]) {
        const rules = { nodes: ["redis://h"], rules: [{ ...rule, [name]: value }] };
        const error = errorBy(() => defineLocks(rules));
        expect(error.message).toContain(`rules[0].${name}: found nothing, expected `);
      }
    },
  );

  it("accepts a URL object as a master", async () => {
    const nodes = [new URL("redis://:pw@a:1"), "redis://b"];
    await using locks = defineLocks({ nodes, rules: [{ key: "a" }] });
    locks.redlock.on("warning", () => undefined);
    const error = errorBy(() =>
      defineLocks({ nodes: [...nodes, "redis://a:1"], rules: [{ key: "a" }] }),
    );
    expect(error.message).toMatch(/^nodes\[2\]: found the same server as nodes\[0\]/);
  });

  it("refuses gaps in lists", () => {
    const rules = {
      // eslint-disable-next-line no-sparse-arrays -- the result of an extra comma
      nodes: [, { host: "a" }],
      // eslint-disable-next-line no-sparse-arrays -- likewise
      rules: [, { key: [, "a"] }],
    } as unknown as LockRules;
    expect(errorBy(() => defineLocks(rules)).message).toBe(`3 problems
nodes[0]: found nothing, expected a URL such as "redis://lock-1:6379", or an object with host, port and more
rules[0]: found nothing, expected a rule, such as { queue: "invoices", key: "account:{{data.accountId}}" }
rules[1].key[0]: found nothing, expected a template such as "account:{{data.accountId}}", a list of them, or null for jobs that need no lock`);
  });

  it("refuses a part of a condition without a value", () => {
    const nested = {
      when: { "data.a": undefined, "data.b": ["x", undefined] },
      key: ["a", undefined],
    };
    const rules = { nodes: ["redis://h"], rules: [nested] } as unknown as LockRules;
    expect(errorBy(() => defineLocks(rules)).problems.map(({ path }) => path)).toEqual([
      'rules[0].when["data.a"]',
      'rules[0].when["data.b"][1]',
      "rules[0].key[1]",
    ]);
  });

  it("ignores an option without a value", async () => {
    const rules = {
      nodes: ["redis://a", "redis://b", "redis://c"],
      onLost: "fail",
      maxTtl: undefined,
      rules: [{ key: "a", ttl: undefined, onLost: undefined, maxWait: undefined }],
    } as unknown as LockRules;
    await using locks = defineLocks(rules);
    expect(locks.explain({ queueName: "q", name: "n" }).options).toMatchObject({
      ttl: 15_000,
      onLost: "fail",
    });
  });

  it.each([Infinity, -Infinity, Number.NaN, 2 ** 53, 1e300])(
    "refuses %d where it would be compared as text",
    (number) => {
      const when = { "data.a": number, "data.b": [number] };
      const rules = { nodes: ["redis://h"], rules: [{ when, key: "a" }] };
      expect(
        errorBy(() => defineLocks(rules)).problems.map(({ path, found }) => [path, found]),
      ).toEqual([
        ['rules[0].when["data.a"]', String(number)],
        ['rules[0].when["data.b"][0]', String(number)],
      ]);
    },
  );

  it.each([undefined, null, 5, "x", [], () => null])("refuses %j", (rules) => {
    expect(() => defineLocks(rules as unknown as LockRules)).toThrow(LockRulesError);
  });
});

function errorBy(act: () => unknown): LockRulesError {
  try {
    act();
  } catch (error) {
    return error as LockRulesError;
  }
  throw new Error("nothing was thrown");
}
