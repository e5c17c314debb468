/** An option that can be written down as data: in a rules file, or in an editor that knows its schema. */
export interface DataOption {
  /** What it takes; a list has all values there are. */
  readonly takes:
    "duration" | "duration or false" | "ratio" | "text" | readonly (string | boolean)[];
  /** What it does, in one line. */
  readonly says: string;
}
