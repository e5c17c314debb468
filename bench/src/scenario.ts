import type { RedisNodes } from "../../dist/testing/index.js";

/** What one run of one contender came to, by name. Infinity: it did not come to an end. */
export type Figures = Record<string, number>;

/** One column of a scenario's table. */
export interface Column {
  /** The name of the figure. */
  readonly figure: string;
  readonly title: string;
  readonly digits: number;
  /** Whether the ratio to the plain lower bound is shown too. */
  readonly ratio?: true;
}

/** What a figure of a contender should be. */
export interface Goal {
  readonly text: string;
  /** Whose figure. @defaultValue ours */
  readonly contender?: string;
  readonly figure: string;
  /** Whether it is about the ratio to the first contender. @defaultValue the figure itself */
  readonly ratio?: boolean;
  readonly most?: number;
  readonly least?: number;
}

/** Something done to the masters before a run, and undone after it. */
export interface Phase {
  readonly name: string;
  enter(nodes: RedisNodes): Promise<void> | void;
  leave(nodes: RedisNodes): Promise<void> | void;
}

/** A contender in a process of its own, connected and warm. */
export interface Subject {
  /** Measures once. */
  run(phase: string): Promise<Figures>;
  close(): Promise<void>;
}

/** One thing that is measured of several contenders, in turn, over several rounds. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** What is done, for the reader of the table. */
  readonly text: string;
  readonly nodes: number;
  readonly contenders: readonly string[];
  readonly columns: readonly Column[];
  readonly goals?: readonly Goal[];
  /** Most rounds that make sense. @defaultValue as many as asked for */
  readonly rounds?: number;
  /** Milliseconds that one run may take. @defaultValue 180000 */
  readonly longestRun?: number;
  readonly phases?: readonly Phase[];
  /** Whether all processes share one core. It needs `taskset`. @defaultValue false */
  readonly oneCore?: true;
  /** Whether the masters are cleared after each run, except for the guard. @defaultValue false */
  readonly clears?: true;
  /** Runs in the process of the contender. */
  prepare(contender: string, urls: readonly string[]): Promise<Subject>;
}
