/** Where two JSON values differ, as lines that a person reads. */

export interface JsonDifference {
  /** JSONPath of the place. */
  readonly path: string;
  /** JSON of what was expected; `null` where nothing was. */
  readonly expected: string | null;
  /** JSON of what is there; `null` where nothing is. */
  readonly got: string | null;
}

const MOST = 20;

/** The first twenty places where `got` differs from `expected`. Order of members does not count. */
export function jsonDifferences(expected: unknown, got: unknown): JsonDifference[] {
  const found: JsonDifference[] = [];
  compare("$", expected, got, found);
  return found;
}

function compare(path: string, expected: unknown, got: unknown, found: JsonDifference[]): void {
  if (found.length >= MOST || Object.is(expected, got)) return;
  if (Array.isArray(expected) && Array.isArray(got)) {
    for (let i = 0; i < Math.max(expected.length, got.length); i++) {
      compare(`${path}[${i}]`, expected[i], got[i], found);
    }
    return;
  }
  if (isObject(expected) && isObject(got)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(got)])) {
      const inner = /^[A-Za-z_]\w*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
      compare(inner, own(expected, key), own(got, key), found);
    }
    return;
  }
  // -0 and 0 are one number to most who read JSON.
  if (typeof expected === "number" && expected === got) return;
  found.push({ path, expected: text(expected), got: text(got) });
}

function own(value: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key] : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
