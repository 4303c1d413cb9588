/** Whether single values are valid by parts of a schema: for values that a schema lists. */
import type { JsonSchema } from "../../model/schema/contract.ts";
import type { Instance } from "./instance.ts";
import { prepareSchema } from "./prepare.ts";
import type { Targets } from "./refs.ts";
import { Validator } from "./validator.ts";

export class Valid {
  readonly #root: JsonSchema;
  readonly #targets: Targets;
  readonly #validators = new Map<string, Validator | null>();

  constructor(root: JsonSchema, targets: Targets) {
    this.#root = root;
    this.#targets = targets;
  }

  /** Whether a value is valid by the schema at a pointer. `false` where that cannot be said. */
  at(pointer: string, value: unknown): boolean {
    const validator = this.#validator(pointer);
    if (validator === null) return false;
    const instance: Extract<Instance, { type: "ok" }> = {
      type: "ok",
      value,
      exact: null,
      rootExact: null,
    };
    try {
      return validator.failure(instance, 0) === null;
    } catch {
      return false;
    }
  }

  #validator(pointer: string): Validator | null {
    const known = this.#validators.get(pointer);
    if (known !== undefined) return known;
    const made = this.#compile(pointer);
    this.#validators.set(pointer, made);
    return made;
  }

  #compile(pointer: string): Validator | null {
    try {
      if (!this.#targets.byPointer.has(pointer)) return null;
      const prepared = prepareSchema(this.#root, this.#targets, pointer);
      return prepared.usesUnevaluated ? null : new Validator(prepared);
    } catch {
      return null;
    }
  }
}
