import { count } from "../sentences.ts";
import { holderOf } from "../describe/describe-key.ts";
import { hasStuck, isTaken, type KeySummary, summarise } from "../describe/summary.ts";
import { duration } from "../describe/words.ts";
import { LockConfigError, LockUnavailableError } from "../errors.ts";
import type { Engine } from "../redlock/engine.ts";
import { addressOf } from "./address.ts";
import { chart, type History } from "./chart.ts";
import { type Html, html } from "./html.ts";
import type { KeyListing, KeyLists } from "./key-list.ts";
import type { Page } from "./layout.ts";
import { mastersSection, outage } from "./masters.ts";

/** A key that no client holds; its survey shows which masters answer and vote. */
const PROBE_KEY = "bullmq-redlock dashboard";
/** Keys on one page: the masters are asked only about these. */
const PAGE = 100;

/** What the page is made of. */
export interface Sources {
  readonly engine: Engine;
  readonly lists: KeyLists;
  /** The number of waiters, each time all keys are listed. */
  readonly waiters: History;
  /** How long this process waited for each of its locks; `undefined` before the first one. */
  readonly waits: History | undefined;
}

/** The page of all keys, with charts and masters. */
export async function overview(sources: Sources, query: URLSearchParams): Promise<Page> {
  const { engine, lists, waiters, waits } = sources;
  const pattern = query.get("key") || "*";
  const [masters, listing] = await Promise.all([
    engine.survey(PROBE_KEY).then((inspection) => summarise(inspection, Date.now())),
    listed(lists, pattern),
  ]);
  const now = Date.now();
  if (pattern === "*" && !("sentence" in listing)) waiters.add(now, listing.waiting);
  const { voting, nodes, quorum } = masters;
  const content = html`<h1>Locks</h1>
    ${outage(masters)}
    <dl class="tiles">
      ${
        "sentence" in listing
          ? undefined
          : html`<div>
                <dt>Keys</dt>
                <dd>
                  ${listing.keys.length.toLocaleString("en")}${listing.isCut && "+"}
                  <small>held or with waiters</small>
                </dd>
              </div>
              <div>
                <dt>Waiting</dt>
                <dd>${listing.waiting.toLocaleString("en")} <small>for all these keys</small></dd>
              </div>`
      }
      <div>
        <dt>Masters</dt>
        <dd>${voting}/${nodes.length} <small>can vote, a lock needs ${quorum}</small></dd>
      </div>
    </dl>
    <div class="charts">
      ${chart("Waiting for all keys", waiters.values(now), String)}
      ${waits && chart("Longest wait for a lock in this process", waits.values(now), duration)}
    </div>
    <section aria-labelledby="keys">
      <h2 id="keys">Keys</h2>
      <form method="get" action="./">
        <label>Key, or a pattern such as account:* <input name="key" value="${pattern}" /></label>
        <button>Filter</button>
        <button formaction="key">Inspect</button>
      </form>
      ${
        "sentence" in listing
          ? html`<p class="bad">${listing.sentence}</p>`
          : await keyTable(engine, listing, pattern, Number(query.get("page")))
      }
    </section>
    ${mastersSection(masters)}`;
  return { title: "Locks", content, isLive: true };
}

async function listed(
  lists: KeyLists,
  pattern: string,
): Promise<KeyListing | { readonly sentence: string }> {
  try {
    return await lists.read(pattern);
  } catch (error) {
    if (error instanceof LockUnavailableError) {
      return { sentence: "Too few masters answer to list keys." };
    }
    if (error instanceof LockConfigError) return { sentence: error.message };
    throw error;
  }
}

async function keyTable(
  engine: Engine,
  { keys, isCut }: KeyListing,
  pattern: string,
  asked: number,
): Promise<Html> {
  const pages = Math.max(1, Math.ceil(keys.length / PAGE));
  const page = Math.min(pages, Math.max(1, Math.trunc(asked) || 1));
  const inspections = await Promise.all(
    keys.slice((page - 1) * PAGE, page * PAGE).map(async ({ key }) => await engine.survey(key)),
  );
  const rows = inspections
    .map((inspection) => summarise(inspection, Date.now()))
    // Other keys were released after the list was read, or are on a minority of the masters.
    .filter((summary) => isTaken(summary) || summary.waiting > 0)
    .sort((a, b) => b.waiting - a.waiting || (a.key < b.key ? -1 : 1));
  if (rows.length === 0 && pages === 1) return html`<p>No such key is held or has waiters.</p>`;
  const link = (to: number, word: string) =>
    html`<a
      rel="${word.toLowerCase()}"
      href="${addressOf("./", { key: pattern, page: String(to) })}"
      >${word}</a
    >`;
  return html`<table class="wide" role="table">
      <caption>
        Most waiters
        first${pages > 1 && html`, page ${page} of ${pages}`}${isCut && html`; there are more keys, only the first ${count(keys.length, "key")} are listed`}
      </caption>
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader" scope="col">Key</th>
          <th role="columnheader" scope="col" class="number">Waiting</th>
          <th role="columnheader" scope="col">Holder</th>
          <th role="columnheader" scope="col" class="number">Held for</th>
          <th role="columnheader" scope="col" class="number">Expires in</th>
          <th role="columnheader" scope="col" class="number">Masters</th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${rows.map(keyRow)}
      </tbody>
    </table>
    ${
      pages > 1 &&
      html`<nav aria-label="Pages">
        ${page > 1 && link(page - 1, "Previous")} ${page < pages && link(page + 1, "Next")}
      </nav>`
    }`;
}

function keyRow(summary: KeySummary): Html {
  const { key, waiting, age, remaining, heldBy, nodes } = summary;
  const address = addressOf("key", { key });
  const time = (ms: number | undefined) =>
    !isTaken(summary) ? "–" : ms === undefined ? "?" : duration(ms);
  const isOdd = !isTaken(summary) || summary.state !== "held" || hasStuck(summary);
  return html`<tr role="row" data-id="${address}">
    <th role="rowheader" scope="row">
      <a href="${address}"><bdi>${key}</bdi></a>
    </th>
    <td role="cell" data-label="Waiting" class="number">${waiting}</td>
    <td role="cell" data-label="Holder">
      <bdi class="${isOdd && "warn"}">${holderOf(summary)}</bdi>
    </td>
    <td role="cell" data-label="Held for" class="number">${time(age)}</td>
    <td role="cell" data-label="Expires in" class="number">${time(remaining)}</td>
    <td role="cell" data-label="Masters" class="number">${heldBy} of ${nodes.length}</td>
  </tr>`;
}
