/** What JSON.parse would pass over in a text: names that stand twice, and nesting without end. */

/** Deeper than any document that somebody wrote. */
const MAX_DEPTH = 256;

/** Why a JSON text is not taken; `null` when it is, or is no JSON: who parses it says that better. */
export function jsonProblem(text: string): string | null {
  /** Of each open object the names that it has, of each open list nothing. */
  const open: (Set<string> | null)[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/gs)) {
    if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : null);
      if (open.length > MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (token.endsWith(":")) {
      const names = open.at(-1);
      const name = nameOf(token);
      if (names == null || name === null) continue;
      if (names.has(name)) return `has the name ${JSON.stringify(name.slice(0, 64))} twice in one object`;
      names.add(name);
    }
  }
  return null;
}

/** The name that stands before a colon, without its escapes. */
function nameOf(token: string): string | null {
  try {
    const name: unknown = JSON.parse(token.replace(/\s*:$/, ""));
    return typeof name === "string" ? name : null;
  } catch {
    return null;
  }
}
