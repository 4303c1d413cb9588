/** References within one schema: `#`, `#/$defs/x`, `#anchor`. Nothing is ever fetched. */
import { isSchemaObject, own, type SchemaObject, subschemas } from "./keywords.ts";

/** The schemas of a document by the references that name them. */
export interface Targets {
  /** Every schema of the document by its JSON pointer (`""` is the whole). */
  readonly byPointer: ReadonlyMap<string, unknown>;
  readonly byAnchor: ReadonlyMap<string, string>;
}

/** Finds every schema of a document; stops at `most` of them or at `deepest`. */
export function findTargets(
  root: unknown,
  bounds: { readonly most: number; readonly deepest: number },
): Targets {
  const byPointer = new Map<string, unknown>();
  const byAnchor = new Map<string, string>();
  const open = [{ schema: root, pointer: "", depth: 0 }];
  for (let next = open.pop(); next !== undefined && byPointer.size <= bounds.most; next = open.pop()) {
    const { schema, pointer, depth } = next;
    byPointer.set(pointer, schema);
    if (!isSchemaObject(schema) || depth > bounds.deepest) continue;
    for (const keyword of ["$anchor", "$dynamicAnchor"]) {
      const anchor = own(schema, keyword);
      if (typeof anchor === "string") byAnchor.set(anchor, pointer);
    }
    const below = [...subschemas(schema, pointer)].reverse();
    for (const one of below) open.push({ schema: one.schema, pointer: one.pointer, depth: depth + 1 });
  }
  return { byPointer, byAnchor };
}

/** The pointer that a local reference names; `null` when it names no schema of this document. */
export function resolveRef(targets: Targets, ref: string): string | null {
  if (!ref.startsWith("#")) return null;
  const fragment = decode(ref.slice(1));
  if (fragment === null) return null;
  if (fragment === "" || fragment.startsWith("/")) {
    const pointer = canonicalPointer(fragment);
    return targets.byPointer.has(pointer) ? pointer : null;
  }
  return targets.byAnchor.get(fragment) ?? null;
}

function decode(fragment: string): string | null {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return null;
  }
}

/** Array indexes and escapes in the one form that our own pointers have. */
function canonicalPointer(pointer: string): string {
  return pointer
    .split("/")
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((token) => token.replaceAll("~", "~0").replaceAll("/", "~1"))
    .join("/");
}

/** The reference of a schema, if it has one. */
export function refOf(schema: SchemaObject): { readonly keyword: string; readonly ref: string } | null {
  for (const keyword of ["$ref", "$dynamicRef"]) {
    const ref = own(schema, keyword);
    if (typeof ref === "string") return { keyword, ref };
  }
  return null;
}
