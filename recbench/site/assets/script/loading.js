// Data that a page loads when asked.

const found = new Map();
const asked = new Map();

const put = (key, value) => found.set(key, value);

// a script element, since a page opened from a file may fetch nothing
function load(address, key) {
  if (!asked.has(address)) {
    asked.set(
      address,
      new Promise((resolve, reject) => {
        const script = el("script", { src: address });
        script.addEventListener("load", () =>
          found.has(key) ? resolve(found.get(key)) : reject(new Error(`${address} holds something else`)),
        );
        script.addEventListener("error", () => reject(new Error(`${address} could not be loaded`)));
        document.head.append(script);
      }),
    );
  }
  return asked.get(address);
}

function numbers(base64, Kind) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Kind(bytes.buffer);
}
