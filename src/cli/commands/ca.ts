/** `ca show`: what peers need of this site's CA. */
import type { SiteReport } from "../../../routes/answers.ts";
import type { Command } from "../command.ts";
import { paths } from "../paths.ts";

export const CA_SHOW: Command = {
  name: "ca show",
  args: [],
  about: "the certificate of this site's CA (PEM), to give to peers",
  flags: { out: { value: "FILE", about: "writes it to a file that is not there yet" } },
  run: async (call) => {
    const { site, links } = await (await call.api()).get<SiteReport>(paths.site);
    const fingerprints = links.certificates
      .filter(({ kind }) => kind === "ca")
      .map(({ fingerprint }) => fingerprint);
    const out = call.flag("out");
    if (out !== undefined) await call.effects.createFile(out, links.ca, 0o644);
    const text = out === undefined ? links.ca.trim() : `The CA of ${site} is written to ${out}.`;
    return { json: { site, ca: links.ca, fingerprints }, text };
  },
};
