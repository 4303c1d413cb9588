/** Text for terminals: tables, and numbers and times as people read them. */
import { spanText } from "../model/units.ts";

const WIDTH = 100;

/** Rows under a head, in columns; the widest column gives way where a row would be wider than `width`. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], width = WIDTH): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => lengthOf(row[column] ?? ""))));
  const gaps = 2 * (head.length - 1);
  let over = widths.reduce((sum, one) => sum + one, gaps) - width;
  while (over > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    const second = Math.max(8, ...widths.filter((_, column) => column !== widest));
    const cut = Math.min(over, Math.max(1, (widths[widest] ?? 0) - second));
    if ((widths[widest] ?? 0) - cut < 6) break;
    widths[widest] = (widths[widest] ?? 0) - cut;
    over -= cut;
  }
  return all
    .map((row) =>
      row
        .map((cell, column) => pad(shorten(cell, widths[column] ?? 0), widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Lines of `name  value`, the values below each other. */
export function facts(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd()).join("\n");
}

/** `text` with each line moved to the right. */
export function indent(text: string, by = 2): string {
  return text.replace(/^(?=.)/gm, " ".repeat(by));
}

/** `3h 12m` between two times. */
export function elapsed(from: Date, to: Date): string {
  const seconds = Math.max(0, Math.floor((to.getTime() - from.getTime()) / 1000));
  if (Number.isNaN(seconds)) return "?";
  return spanText(seconds);
}

/** `1 step`, `2 steps`. */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount} ${amount === 1 ? one : many}`;
}

/** Text that a terminal shows and does not obey: control characters become visible. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal would obey
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (character) => {
    const hex = character.charCodeAt(0).toString(16);
    return hex.length > 2 ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`;
  });
}

const lengthOf = (text: string): number => [...text].length;
const pad = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - lengthOf(text)));

function shorten(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join("")}…`;
}
