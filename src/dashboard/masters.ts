import { adviseOnVotes } from "../describe/advise.ts";
import { causeOf, hasAnswered, isForgetful, type KeySummary } from "../describe/summary.ts";
import { duration } from "../describe/words.ts";
import type { NodeInspection } from "../redlock/inspect-slots.ts";
import { type Html, html } from "./html.ts";

/** Reports that locks are unavailable. `summary` is that of any key. */
export function outage({ voting, quorum, nodes }: KeySummary): Html | undefined {
  if (voting >= quorum) return undefined;
  return html`<p class="alert bad" role="alert">
    Locks are unavailable: ${voting} of ${nodes.length} masters can vote, a lock needs ${quorum}.
  </p>`;
}

/** The masters by their latest answers. `summary` is that of any key. */
export function mastersSection(summary: KeySummary): Html {
  const { nodes, quorum } = summary;
  const advice = adviseOnVotes(summary).map((sentence) => html`<p>${sentence}</p>`);
  return html`<section aria-labelledby="masters">
    <h2 id="masters">Masters</h2>
    <table class="wide" role="table">
      <caption>
        A lock needs ${quorum} of ${nodes.length}
      </caption>
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader" scope="col">Master</th>
          <th role="columnheader" scope="col">Connection</th>
          <th role="columnheader" scope="col">Vote</th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${nodes.map(row)}
      </tbody>
    </table>
    ${advice}
  </section>`;
}

function row(node: NodeInspection): Html {
  const cause = causeOf(node);
  const connection =
    cause === undefined
      ? html`<span class="good">answers</span>`
      : html`<span class="bad">no answer</span> ${cause}`;
  return html`<tr role="row" data-id="${node.node}">
    <th role="rowheader" scope="row">${node.node}</th>
    <td role="cell" data-label="Connection"><span>${connection}</span></td>
    <td role="cell" data-label="Vote"><span>${vote(node)}</span></td>
  </tr>`;
}

function vote(node: NodeInspection): Html {
  if (!hasAnswered(node)) return html`<span class="bad">none</span>`;
  if (node.vote === "unknown") return html`<span class="warn">not yet:</span> it has no guard`;
  if (!isForgetful(node)) return html`<span class="good">votes</span>`;
  const until = node.quarantine === undefined ? "" : `, for another ${duration(node.quarantine)}`;
  return html`<span class="warn">none${until}:</span> it is new, or lost its memory`;
}
