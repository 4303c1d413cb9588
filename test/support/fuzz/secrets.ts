/**
 * Secrets that are planted in events, and the search for them in what is forwarded. Each begins with a mark, so one search
 * finds all of them, whichever event they came with; a part of a secret that is longer than the mark is found too.
 */

const TEXT_MARK = "Qz7sEcReT";
const DIGIT_MARK = "7316480925";

/** A secret of text; with a character beyond the first plane when `astral`. */
export function textSecret(n: number, astral = false): string {
  return `${TEXT_MARK}${n.toString(36).padStart(6, "0")}${astral ? "\u{1d54a}" : ""}`;
}

/** A secret of digits, exact as a double. */
export function digitSecret(n: number): string {
  return `${DIGIT_MARK}${(n % 100_000).toString().padStart(5, "0")}`;
}

const latin1 = new TextDecoder("latin1");

/** The encodings in which a secret stands in the bytes; empty when none does. */
export function leaksIn(...parts: readonly Uint8Array[]): string[] {
  return parts.flatMap((part) => leaksInText(latin1.decode(part)));
}

/** As {@linkcode leaksIn}, in text. */
export function leaksInText(text: string): string[] {
  const found = new Set<string>();
  const layers: [string, string][] = [["raw", text]];
  const unescaped = unescapeJson(text);
  if (unescaped !== text) layers.push(["escaped", unescaped]);
  const percent = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if (percent !== text) layers.push(["percent", percent]);
  for (const [layer, part] of layers) {
    const lower = part.toLowerCase();
    for (const { name, form } of FORMS) {
      if (lower.includes(form)) found.add(`${layer} ${name}`);
    }
    for (const form of BASE64) if (part.includes(form)) found.add(`${layer} base64`);
  }
  return [...found];
}

/** JSON escapes, whether the text is JSON or not. */
function unescapeJson(text: string): string {
  if (!text.includes("\\")) return text;
  return text
    .replace(/\\u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/\\(["\\/])/g, "$1");
}

const MARKS = [TEXT_MARK, DIGIT_MARK];
const FORMS = MARKS.flatMap((mark) => [
  { name: "text", form: mark.toLowerCase() },
  { name: "reversed", form: [...mark.toLowerCase()].reverse().join("") },
  { name: "hex", form: Buffer.from(mark).toString("hex") },
  { name: "hex of UTF-16", form: Buffer.from(mark, "utf16le").toString("hex") },
  { name: "UTF-16", form: [...mark.toLowerCase()].join("\0") },
]);
/** What of a mark does not depend on its neighbours, at each of the three places where it may begin. The marks use no `+` or `/`. */
const BASE64 = MARKS.flatMap((mark) =>
  [0, 1, 2].map((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(mark)]);
    const whole = Math.floor(bytes.length / 3) * 4;
    return bytes.toString("base64").slice(before === 0 ? 0 : 4, whole);
  }),
);
