// Into the folder that the Go package embeds, with names that stay: the binary says which version it is.
export default {
  base: './',
  build: {
    outDir: 'built',
    emptyOutDir: false,
    modulePreload: false,
    chunkSizeWarningLimit: 1000,
    rollupOptions: {
      output: { entryFileNames: 'page.js', chunkFileNames: '[name].js', assetFileNames: 'page.[ext]' },
    },
  },
};
