import { describeKey, headline, holderName, type Section } from "../describe/describe-key.ts";
import { type KeySummary, summarise } from "../describe/summary.ts";
import type { Engine } from "../redlock/engine.ts";
import type { FormTokens } from "./actions.ts";
import { addressOf } from "./address.ts";
import { type Html, html } from "./html.ts";
import type { Page } from "./layout.ts";
import { outage } from "./masters.ts";

/** Everything about one key. A viewer without permission to act has no `tokens`. */
export async function keyPage(
  engine: Engine,
  query: URLSearchParams,
  tokens: FormTokens | undefined,
): Promise<Page> {
  const key = query.get("key") ?? "";
  const summary = summarise(await engine.survey(key), Date.now());
  const content = html`<p class="up"><a href="./">All keys</a></p>
    <h1><bdi>${key}</bdi></h1>
    ${outage(summary)}
    <p class="lead ${(summary.state === "unclear" || summary.state === "blocked") && "bad"}">
      ${headline(summary)}
    </p>
    ${notice(summary, query.get("asked"))} ${wakeNotice(query.get("wake"))}
    ${describeKey(summary, engine.settings.prefix).map(section)}
    ${tokens && cancelSection(summary, tokens)} ${tokens && wakeSection(summary, tokens)}`;
  return { title: key, content, isLive: true };
}

function section({ title, facts, sentences }: Section): Html {
  return html`<section data-id="${title.replace(/ \(.*/, "")}">
    <h2>${title}</h2>
    ${
      facts.length > 0 &&
      html`<table class="facts">
        <caption class="hidden">
          ${title}
        </caption>
        <tbody>
          ${facts.map(
            ([name, fact]) =>
              html`<tr>
                <th scope="row">${name}</th>
                <td><bdi>${fact}</bdi></td>
              </tr>`,
          )}
        </tbody>
      </table>`
    }
    ${sentences.map((sentence) => html`<p>${sentence}</p>`)}
  </section>`;
}

/** The outcome of a request to stop. */
function notice({ holder }: KeySummary, asked: string | null): Html | undefined {
  if (asked === null) return undefined;
  if (String(holder?.fencingToken) !== asked) {
    return html`<p class="good" role="status">The holder that was asked to stop has stopped.</p>`;
  }
  return html`<p class="warn" role="status">
    The holder was asked to stop, and still has the key. Jobs without cancelInProgress go on.
  </p>`;
}

function cancelSection(summary: KeySummary, tokens: FormTokens): Html | undefined {
  const { key, holder } = summary;
  const fencingToken = holder?.fencingToken;
  if (fencingToken === undefined || holder?.kept) return undefined;
  // Another holder gets another form: a click that was meant for this one does not reach the next.
  return html`<section data-id="cancel ${fencingToken}">
    <h2>Stop the holder</h2>
    <p>Asks <bdi>${holderName(holder)}</bdi> to stop. Only jobs under cancelInProgress do.</p>
    <form method="post" action="${addressOf("cancel", { key })}">
      <input type="hidden" name="holder" value="${fencingToken}" />
      <input type="hidden" name="token" value="${tokens.make(key, fencingToken)}" />
      <label>Reason, for the error of the job <input name="reason" maxlength="200" /></label>
      <button>Ask it to stop</button>
    </form>
  </section>`;
}

/** Offered where a release has not done it: the key is free, and has waiters. */
function wakeSection({ key, state, waiting }: KeySummary, tokens: FormTokens): Html | undefined {
  if (state !== "free" || waiting === 0) return undefined;
  return html`<section data-id="wake">
    <h2>Wake the first waiter</h2>
    <p>Workers do so within seconds. This checks the wait list now.</p>
    <form method="post" action="${addressOf("wake", { key })}">
      <input type="hidden" name="holder" value="0" />
      <input type="hidden" name="token" value="${tokens.make(key, 0)}" />
      <button>Wake it</button>
    </form>
  </section>`;
}

const WAKE_NOTICES: Readonly<Record<string, string>> = {
  woken:
    "The key was reserved for the first waiter, and a worker of its queue is told to wake it, if one runs.",
  reserved: "The key was reserved for a waiter already.",
  held: "The key was taken in the meantime: its release wakes the next waiter.",
  free: "The key has no waiter that can be woken.",
};

/** The outcome of {@link wakeSection}. */
function wakeNotice(outcome: string | null): Html | undefined {
  const text = Object.hasOwn(WAKE_NOTICES, outcome ?? "") && WAKE_NOTICES[outcome ?? ""];
  return text ? html`<p class="good" role="status">${text}</p>` : undefined;
}
