import { displayWidth } from "../display-width.ts";
import { LockConfigError } from "../errors.ts";
import { printable } from "../printable.ts";

/** A stretch of a template that is wrong, and what should stand there. */
export interface TemplateProblem {
  /** The index in the template, from 0, in UTF-16 code units. */
  at: number;
  found: string;
  expected: string;
}

const CONTEXT = 40;

/** A faulty template: the message has the column, and a caret under the place. */
export class TemplateError extends LockConfigError {
  readonly problem: TemplateProblem;

  constructor(template: string, problem: TemplateProblem, path: string) {
    const { at, found, expected } = problem;
    const before = Array.from(template.slice(0, at));
    const after = Array.from(template.slice(at));
    const left =
      before.length > CONTEXT ? `...${before.slice(-CONTEXT).join("")}` : before.join("");
    const right =
      after.length > CONTEXT ? `${after.slice(0, CONTEXT).join("")}...` : after.join("");
    const line = printable(`${left}${right}`);
    super({
      path,
      found: `${found} at column ${before.length + 1}`,
      expected: `${expected}\n  ${line}\n  ${" ".repeat(displayWidth(left))}^`,
    });
    this.problem = problem;
  }
}
