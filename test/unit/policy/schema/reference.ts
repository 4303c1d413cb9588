/** JSON Schema 2020-12 as the specification reads, keyword by keyword and without any cleverness: what contracts are held against. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type Schema = boolean | { readonly [keyword: string]: unknown };

interface Seen {
  readonly ok: boolean;
  readonly names: ReadonlySet<string>;
  readonly indexes: ReadonlySet<number>;
}

/** Whether a value is valid by a schema whose only references are `#/$defs/<name>` of `root`. */
export function isValid(schema: Schema, value: Json, root: Schema = schema): boolean {
  return new Reference(root).evaluate(schema, value).ok;
}

class Reference {
  readonly #root: Schema;

  constructor(root: Schema) {
    this.#root = root;
  }

  evaluate(schema: Schema, value: Json): Seen {
    const names = new Set<string>();
    const indexes = new Set<number>();
    if (typeof schema === "boolean") return { ok: schema, names, indexes };
    let ok = true;
    const must = (holds: boolean) => {
      ok &&= holds;
    };
    const keep = (seen: Seen): boolean => {
      if (!seen.ok) return false;
      for (const name of seen.names) names.add(name);
      for (const index of seen.indexes) indexes.add(index);
      return true;
    };
    const has = (keyword: string) => Object.hasOwn(schema, keyword);
    const number = (keyword: string, otherwise: number) =>
      has(keyword) ? (schema[keyword] as number) : otherwise;
    const list = (keyword: string) => (has(keyword) ? (schema[keyword] as readonly Schema[]) : []);
    const map = (keyword: string) => Object.entries(has(keyword) ? (schema[keyword] as object) : {});
    const valid = (inner: unknown, part: Json) => this.evaluate(inner as Schema, part).ok;

    if (has("$ref")) must(keep(this.evaluate(this.#target(String(schema.$ref)), value)));
    if (has("type")) must([schema.type].flat().some((type) => isOfType(value, String(type))));
    if (has("enum")) must((schema.enum as readonly Json[]).some((one) => isSame(one, value)));
    if (has("const")) must(isSame(schema.const as Json, value));
    if (typeof value === "number") {
      must(value >= number("minimum", value) && value <= number("maximum", value));
      if (has("exclusiveMinimum")) must(value > number("exclusiveMinimum", 0));
      if (has("multipleOf")) must(Number.isInteger(value / number("multipleOf", 1)));
    }
    if (typeof value === "string") {
      must([...value].length >= number("minLength", 0));
      must([...value].length <= number("maxLength", Number.POSITIVE_INFINITY));
      if (has("pattern")) must(new RegExp(String(schema.pattern), "u").test(value));
    }
    if (isList(value)) {
      const first = list("prefixItems");
      value.forEach((one, index) => {
        if (index >= first.length && !has("items")) return;
        must(valid(index < first.length ? first[index] : schema.items, one));
        indexes.add(index);
      });
      if (has("contains")) {
        const found = value.flatMap((one, index) => (valid(schema.contains, one) ? [index] : []));
        for (const index of found) indexes.add(index);
        must(found.length >= number("minContains", 1));
        must(found.length <= number("maxContains", Number.POSITIVE_INFINITY));
      }
      if (schema.uniqueItems === true) {
        must(value.every((one, index) => value.slice(0, index).every((other) => !isSame(one, other))));
      }
      must(value.length >= number("minItems", 0));
      must(value.length <= number("maxItems", Number.POSITIVE_INFINITY));
    }
    if (isMap(value)) {
      const members = Object.entries(value);
      for (const [name, inner] of map("properties")) {
        if (!Object.hasOwn(value, name)) continue;
        names.add(name);
        must(valid(inner, value[name] as Json));
      }
      for (const [pattern, inner] of map("patternProperties")) {
        for (const [name, one] of members) {
          if (!new RegExp(pattern, "u").test(name)) continue;
          names.add(name);
          must(valid(inner, one));
        }
      }
      if (has("additionalProperties")) {
        for (const [name, one] of members.filter(([name]) => !names.has(name))) {
          must(valid(schema.additionalProperties, one));
          names.add(name);
        }
      }
      for (const name of list("required")) must(Object.hasOwn(value, String(name)));
      for (const [name, others] of map("dependentRequired")) {
        if (Object.hasOwn(value, name)) must((others as string[]).every((one) => Object.hasOwn(value, one)));
      }
      if (has("propertyNames")) must(members.every(([name]) => valid(schema.propertyNames, name)));
      must(members.length >= number("minProperties", 0));
      must(members.length <= number("maxProperties", Number.POSITIVE_INFINITY));
      for (const [name, inner] of map("dependentSchemas")) {
        if (Object.hasOwn(value, name)) must(keep(this.evaluate(inner as Schema, value)));
      }
    }
    for (const one of list("allOf")) must(keep(this.evaluate(one, value)));
    const kept = (keyword: string) => list(keyword).filter((one) => keep(this.evaluate(one, value))).length;
    if (has("anyOf")) must(kept("anyOf") > 0);
    if (has("oneOf")) must(kept("oneOf") === 1);
    if (has("not")) must(!valid(schema.not, value));
    if (has("if")) {
      const branch = keep(this.evaluate(schema.if as Schema, value)) ? "then" : "else";
      if (has(branch)) must(keep(this.evaluate(schema[branch] as Schema, value)));
    }
    if (has("unevaluatedProperties") && isMap(value)) {
      for (const [name, one] of Object.entries(value).filter(([name]) => !names.has(name))) {
        must(valid(schema.unevaluatedProperties, one));
        names.add(name);
      }
    }
    if (has("unevaluatedItems") && isList(value)) {
      value.forEach((one, index) => {
        if (!indexes.has(index)) must(valid(schema.unevaluatedItems, one));
        indexes.add(index);
      });
    }
    return { ok, names, indexes };
  }

  #target(ref: string): Schema {
    const definitions = (this.#root as { readonly $defs?: Readonly<Record<string, Schema>> }).$defs ?? {};
    return definitions[ref.replace("#/$defs/", "")] ?? false;
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function isMap(value: Json): value is { readonly [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOfType(value: Json, type: string): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "array") return isList(value);
  if (type === "object") return isMap(value);
  return type === "null" ? value === null : typeof value === type;
}

function isSame(left: Json, right: Json): boolean {
  if (isList(left) && isList(right)) {
    return left.length === right.length && left.every((one, index) => isSame(one, right[index] as Json));
  }
  if (!isMap(left) || !isMap(right)) return left === right;
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => Object.hasOwn(right, name) && isSame(left[name] as Json, right[name] as Json))
  );
}
