// The search runs in a worker, and browsers start none for pages that are read from a disk: a frame takes its place.
// Material's worker looks for this name in its parent, and for its own address in the first script of its document.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = async (...addresses) => {
        for (const address of addresses) await load(address);
      };
      const load = (address) =>
        new Promise((resolve, reject) => {
          const script = inside.document.createElement("script");
          // The frame has no encoding of its own, and the languages of the search are in UTF-8.
          script.charset = "utf-8";
          script.src = address;
          script.onload = resolve;
          script.onerror = reject;
          inside.document.head.append(script);
        });
      const isReady = load(url);
      this.postMessage = (data) => isReady.then(() => inside.dispatchEvent(new MessageEvent("message", { data })));
      this.terminate = () => frame.remove();
    }
  };
}
