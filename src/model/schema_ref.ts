/** How a rule names a schema of its tenant: `order` (the latest version) or `order@2`. */
import { nameProblem } from "./names.ts";

export interface SchemaRefParts {
  readonly name: string;
  /** `null`: the latest. */
  readonly version: number | null;
}

/** What messages say is expected of one. */
export const SCHEMA_REF_FORM = "a schema's name, or name@version, for example order or order@2";

/** The parts of a reference; `null` when it is none. */
export function parseSchemaRef(text: string): SchemaRefParts | null {
  const [, name = "", version] = /^([^@]*)(?:@([1-9][0-9]{0,6}))?$/.exec(text) ?? [];
  if (!isSchemaName(name)) return null;
  return { name, version: version === undefined ? null : Number(version) };
}

/** Whether a text can name a schema: as sites, tenants and policies are named. */
export function isSchemaName(text: string): boolean {
  return nameProblem(text) === null;
}

/** A version of a schema as messages name it: `order@2`. */
export function schemaLabel(name: string, version: number): string {
  return `${name}@${version}`;
}
