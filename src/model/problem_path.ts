/** Paths of problems: `tenants[0].exports[1].rules[0].headers.set["a b"]`, as text and as segments. */

export type PathSegment = string | number;

/** A path as text. Keys that are no plain words stand in brackets, quoted. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(String(segment)))
      text += `${text === "" ? "" : "."}${String(segment)}`;
    else text += `[${JSON.stringify(String(segment))}]`;
  }
  return text;
}

/** The segments of a path's text; what cannot be read ends it. */
export function parsePath(text: string): PathSegment[] {
  const segments: PathSegment[] = [];
  for (const found of text.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|\.?([^.[\]]+)/gy)) {
    const [, index, quoted, word] = found;
    if (index !== undefined) segments.push(Number(index));
    else if (quoted !== undefined) segments.push(unquote(quoted));
    else if (word !== undefined) segments.push(word);
  }
  return segments;
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}
