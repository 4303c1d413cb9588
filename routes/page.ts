/** The API as a page to read: one file, no script, nothing fetched from elsewhere. */
import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import type { OpenApiDocument } from "./openapi.ts";

const METHODS = ["get", "put", "post", "patch", "delete"] as const;

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #0a7a4b; }
@media (prefers-color-scheme: dark) { :root { --link: #4fd08d; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 56rem; padding: 1.5rem; }
h1 { margin-bottom: 0; } h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; }
a { color: var(--link); } code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); border-radius: 6px; overflow-x: auto; padding: .75rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .4rem .75rem; }
summary { cursor: pointer; } summary b { display: inline-block; min-width: 4.5rem; font-family: ui-monospace, monospace; }
summary span { color: #888; float: right; } table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--line); padding: .25rem .5rem; vertical-align: top; }
@media (max-width: 40rem) { summary span { display: block; float: none; } }
`;

type Markup = ReturnType<typeof html>;

/** The page, and the Content-Security-Policy that lets it show its own style and nothing else. */
export function renderPage(document: OpenApiDocument): { readonly html: Markup; readonly policy: string } {
  const operations = operationsOf(document);
  const tags = [...new Set(operations.map(({ tag }) => tag))];
  const schemas = Object.entries(document.components?.schemas ?? {}).sort(([a], [b]) => a.localeCompare(b));
  const body = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${document.info.title} API</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<h1>${document.info.title} API</h1>
<p>Version ${document.info.version} · <a href="/openapi.json">openapi.json</a></p>
<p>${document.info.description ?? ""}</p>
<p>Send <code>Authorization: Bearer &lt;token&gt;</code>; the token stands in <code>keys/api.token</code> of the data
folder. Operations marked <i>open</i> need none.</p>
${tags.map(
  (tag) => html`<h2 id="${tag}">${tag}</h2>
${operations.filter((one) => one.tag === tag).map(renderOperation)}`,
)}
<h2 id="schemas">Schemas</h2>
${schemas.map(
  ([name, schema]) => html`<details id="schema-${name}"><summary><b>${name}</b></summary>
${renderSchema(schema)}</details>`,
)}
</body>
</html>`;
  const digest = createHash("sha256").update(STYLE).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return { html: body, policy };
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly open: boolean;
  readonly parameters: readonly { name: string; in: string; required: boolean; description: string }[];
  readonly body: unknown;
  readonly responses: readonly { status: string; description: string; schema: unknown }[];
}

function operationsOf(document: OpenApiDocument): Operation[] {
  const found: Operation[] = [];
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation === undefined) continue;
      const { requestBody } = operation;
      found.push({
        method: method.toUpperCase(),
        path,
        tag: operation.tags?.[0] ?? "other",
        summary: operation.summary ?? "",
        open: operation.security === undefined,
        parameters: (operation.parameters ?? []).flatMap((one) =>
          "$ref" in one
            ? []
            : [
                {
                  name: one.name,
                  in: one.in,
                  required: one.required === true,
                  description: descriptionOf(one),
                },
              ],
        ),
        body:
          requestBody !== undefined && "content" in requestBody
            ? firstSchema(requestBody.content)
            : undefined,
        responses: Object.entries(operation.responses ?? {}).map(([status, response]) => ({
          status,
          description: "description" in response ? String(response.description) : "",
          schema: "content" in response ? firstSchema(response.content) : undefined,
        })),
      });
    }
  }
  return found;
}

function firstSchema(content: unknown): unknown {
  const [first] = Object.values(content ?? {});
  return typeof first === "object" && first !== null && "schema" in first ? first.schema : undefined;
}

function descriptionOf(one: {
  readonly description?: string | undefined;
  readonly schema?: unknown;
}): string {
  const { schema } = one;
  const inner =
    typeof schema === "object" && schema !== null && "description" in schema ? schema.description : "";
  return one.description ?? String(inner ?? "");
}

function renderOperation({ method, path, summary, open, parameters, body, responses }: Operation): Markup {
  return html`<details><summary><b>${method}</b> <code>${path}</code> <span>${summary}${open ? " (open)" : ""}</span></summary>
${
  parameters.length === 0
    ? ""
    : html`<table>${parameters.map(
        (one) =>
          html`<tr><td><code>${one.name}</code></td><td>${one.in}${one.required ? ", required" : ""}</td><td>${one.description}</td></tr>`,
      )}</table>`
}
${body === undefined ? "" : html`<p>Body</p>${renderSchema(body)}`}
<table>${responses.map(
    (one) =>
      html`<tr><td><code>${one.status}</code></td><td>${one.description}</td><td>${one.schema === undefined ? "" : nameOf(one.schema)}</td></tr>`,
  )}</table>
</details>`;
}

/** A schema as JSON; the names of others in it are links. */
function renderSchema(schema: unknown): Markup {
  const parts = JSON.stringify(schema, null, 2).split(/"#\/components\/schemas\/(\w+)"/);
  return html`<pre>${parts.map((part, i) => (i % 2 === 0 ? part : html`<a href="#schema-${part}">${part}</a>`))}</pre>`;
}

function nameOf(schema: unknown): Markup | string {
  const name = refOf(schema);
  return name === null
    ? html`<code>${JSON.stringify(schema)}</code>`
    : html`<a href="#schema-${name}">${name}</a>`;
}

function refOf(schema: unknown): string | null {
  if (typeof schema !== "object" || schema === null || !("$ref" in schema)) return null;
  return String(schema.$ref).split("/").pop() ?? null;
}
