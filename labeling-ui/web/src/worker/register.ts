// Starts the service worker, through a Trusted Types policy that lets one address through and nothing else.

interface Policy {
  createScriptURL(url: string): string;
}
interface Factory {
  createPolicy(name: string, rules: Policy): Policy;
}

const WORKER = "/sw.js";

export function keepShell(): void {
  if (!("serviceWorker" in navigator)) return;
  const factory = (window as { trustedTypes?: Factory }).trustedTypes;
  const rules: Policy = {
    createScriptURL(url) {
      if (url !== WORKER) throw new TypeError("not a script of this page");
      return url;
    },
  };
  const policy = factory?.createPolicy("marginalia", rules) ?? rules;
  const start = () => {
    // Without a worker a reload needs the server; nothing else changes.
    navigator.serviceWorker.register(policy.createScriptURL(WORKER)).catch(() => undefined);
  };
  // Later than everything that the first face needs.
  if (document.readyState === "complete") setTimeout(start, 500);
  else addEventListener("load", () => setTimeout(start, 500), { once: true });
}
