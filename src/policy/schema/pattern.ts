/**
 * Patterns of JSON Schema are those of ECMAScript (ECMA-262, with the flag `u`). They run on RE2, whose time grows with the
 * text alone; what RE2 would read otherwise than ECMAScript is translated, or refused.
 */
import { RE2JS } from "re2js";
import { errorText } from "../../model/errors.ts";

/** A pattern that finds in linear time. */
export interface LinearPattern {
  test(text: string): boolean;
  /** What one character of a text costs at most, in steps. */
  readonly size: number;
}

export type CompiledPattern =
  | { readonly type: "pattern"; readonly pattern: LinearPattern }
  | { readonly type: "invalid"; readonly problem: string };

const MAX_LENGTH = 512;
const MAX_PROGRAM = 2000;

/** White space of ECMAScript, and the ends of lines that `.` does not match, for a class of RE2. */
const SPACE =
  "\\t\\n\\x{b}\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}";
const LINE_ENDS = "\\n\\r\\x{2028}\\x{2029}";

/** Compiles a pattern. */
export function compilePattern(source: string): CompiledPattern {
  if (source.length > MAX_LENGTH) return invalid(`it is longer than ${MAX_LENGTH} characters`);
  try {
    new RegExp(source, "u");
  } catch (thrown) {
    return invalid(errorText(thrown));
  }
  const translated = translate(source);
  if (translated.type === "invalid") return translated;
  try {
    const compiled = RE2JS.compile(translated.text);
    const size = compiled.programSize();
    if (size > MAX_PROGRAM) return invalid("its repetitions make it too large");
    return { type: "pattern", pattern: { test: (text) => compiled.test(text), size } };
  } catch (thrown) {
    return invalid(`${errorText(thrown)} (patterns run on RE2: no look-around, no back references)`);
  }
}

function invalid(problem: string): { readonly type: "invalid"; readonly problem: string } {
  return { type: "invalid", problem };
}

type Translated =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "invalid"; readonly problem: string };

/** A pattern that ECMAScript takes, in the syntax of RE2. */
function translate(source: string): Translated {
  let text = "";
  let inClass = false;
  for (let i = 0; i < source.length; ) {
    const rest = source.slice(i);
    const found =
      /^\\(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|x([0-9a-fA-F]{2})|([pP])\{([^}]*)\}|c([A-Za-z])|([\s\S]))/.exec(
        rest,
      );
    if (found !== null) {
      const translated = translateEscape(found, inClass);
      if (translated.type === "invalid") return translated;
      text += translated.text;
      i += translated.length;
      continue;
    }
    const one = String.fromCodePoint(rest.codePointAt(0) ?? 0);
    i += one.length;
    if (inClass) {
      if (one === "[") text += "\\[";
      else if (one === "&" || one === "~") text += `\\${one}`;
      else text += one;
      if (one === "]") inClass = false;
    } else if (one === "[") {
      if (/^\[\^?\]/.test(rest)) return invalid("the class '[]' or '[^]' is empty");
      inClass = true;
      text += "[";
      if (source[i] === "^") {
        text += "^";
        i++;
      }
    } else if (one === ".") text += `[^${LINE_ENDS}]`;
    else if (one === "(" && rest.startsWith("(?")) {
      const name = /^\(\?<[^=!>][^>]*>/.exec(rest)?.[0];
      // A name is of no use where nothing is captured.
      if (name !== undefined) [text, i] = [`${text}(?:`, i + name.length - 1];
      else if (rest.startsWith("(?:")) [text, i] = [`${text}(?:`, i + 2];
      else return invalid("it has a group that RE2 does not know: no look-around, no flags");
    } else text += one;
  }
  return { type: "text", text };
}

type Escape =
  | { readonly type: "text"; readonly text: string; readonly length: number }
  | { readonly type: "invalid"; readonly problem: string };

function translateEscape(found: RegExpExecArray, inClass: boolean): Escape {
  const [all, braced, unit, low, byte, property, name, control, other] = found;
  const took = (text: string, length = all.length): Escape => ({ type: "text", text, length });
  const point = (value: number, length = all.length): Escape => took(`\\x{${value.toString(16)}}`, length);
  if (braced !== undefined) return point(Number.parseInt(braced, 16));
  if (byte !== undefined) return point(Number.parseInt(byte, 16));
  if (unit !== undefined) {
    const high = Number.parseInt(unit, 16);
    const isHigh = high >= 0xd800 && high <= 0xdbff;
    if (isHigh && low !== undefined) {
      return point(0x10000 + ((high - 0xd800) << 10) + (Number.parseInt(low, 16) - 0xdc00));
    }
    if (high >= 0xd800 && high <= 0xdfff) return invalid("half a surrogate pair matches no text");
    return point(high, 6);
  }
  if (control !== undefined) return point(control.charCodeAt(0) % 32);
  if (property !== undefined) {
    const script = /^(?:Script|sc)=(\w+)$/.exec(name ?? "")?.[1];
    const category = /^(?:(?:General_Category|gc)=)?([A-Z][a-z]?)$/.exec(name ?? "")?.[1];
    const known = script ?? category;
    if (known === undefined)
      return invalid(
        `it names '\\${property}{${name}}', expected a category such as \\p{L} or \\p{Lu}, or \\p{Script=Greek}`,
      );
    return took(`\\${property}{${known}}`);
  }
  switch (other) {
    case "s":
      return took(inClass ? SPACE : `[${SPACE}]`);
    case "S":
      return inClass ? invalid("'\\S' stands in a class: write the class without it") : took(`[^${SPACE}]`);
    case "v":
      return took("\\x{b}");
    case "0":
      return took("\\x{0}");
    case "b":
      return took(inClass ? "\\x{8}" : "\\b");
    case "d":
    case "D":
    case "w":
    case "W":
    case "B":
    case "n":
    case "r":
    case "t":
    case "f":
      return took(all);
    default:
      return /^[\^$\\.*+?()[\]{}|/-]$/.test(other ?? "")
        ? took(`\\${other}`)
        : invalid(`it has '\\${other}', which RE2 does not know (no back references)`);
  }
}
