// Package oci keeps bundles in registries of containers' images. A bundle is one layer
// of an artefact; its signatures are in the file, so they travel with it, and are
// verified where it is run, without a network.
package oci

import (
	"context"
	"encoding/json"

	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"

	"stapkit/bundle"
)

// Types of the artefact and its layer.
const (
	ArtifactType = "application/vnd.stapkit.bundle.v1"
	LayerType    = "application/vnd.stapkit.bundle.v1+elf"
)

// Options say how a registry is reached.
type Options struct {
	PlainHTTP bool
}

// repository opens [HOST/]REPOSITORY[:TAG|@DIGEST].
func repository(ref string, o Options) (*remote.Repository, error) {
	repo, err := remote.NewRepository(ref)
	if err != nil {
		return nil, err
	}
	repo.PlainHTTP = o.PlainHTTP
	client := &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache()}
	// What docker login or podman login has left; without it, nobody.
	if store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{}); err == nil {
		client.Credential = credentials.Credential(store)
	}
	repo.Client = client
	return repo, nil
}

// Push puts a bundle into a registry, and returns its digest there. The same bundle
// always has the same one.
func Push(ctx context.Context, ref, file string, data []byte, o Options) (string, error) {
	b, err := bundle.Parse(data)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	repo, err := repository(ref, o)
	if err != nil {
		return "", err
	}
	layer := content.NewDescriptorFromBytes(LayerType, data)
	layer.Annotations = map[string]string{v1.AnnotationTitle: path.Base(file)}
	manifest := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: ArtifactType,
		Config: v1.DescriptorEmptyJSON, Layers: []v1.Descriptor{layer},
		Annotations: map[string]string{
			"org.stapkit.script":     b.Manifest.Script,
			"org.stapkit.signatures": fmt.Sprint(len(b.Signatures)),
		},
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return "", err
	}
	desc := content.NewDescriptorFromBytes(v1.MediaTypeImageManifest, text)
	desc.ArtifactType = ArtifactType
	store := memory.New()
	for _, x := range []struct {
		d v1.Descriptor
		b []byte
	}{{layer, data}, {v1.DescriptorEmptyJSON, v1.DescriptorEmptyJSON.Data}, {desc, text}} {
		if err := store.Push(ctx, x.d, strings.NewReader(string(x.b))); err != nil {
			return "", err
		}
	}
	tag := repo.Reference.Reference
	if tag == "" {
		tag = "latest"
	}
	if strings.Contains(tag, ":") {
		return "", fmt.Errorf("%s: give a tag, not a digest: that follows from the bundle", ref)
	}
	if err := store.Tag(ctx, desc, tag); err != nil {
		return "", err
	}
	if _, err := oras.Copy(ctx, store, tag, repo, tag, oras.DefaultCopyOptions); err != nil {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	return desc.Digest.String(), nil
}

// maxManifest bounds the description of an artefact.
const maxManifest = 1 << 20

// Pull gets a bundle from a registry: its bytes, the name that it had, and the digest.
// Every digest is checked on the way; who signed it, the caller has to ask.
func Pull(ctx context.Context, ref string, o Options) (data []byte, file, digest string, err error) {
	repo, err := repository(ref, o)
	if err != nil {
		return nil, "", "", err
	}
	tag := repo.Reference.Reference
	if tag == "" {
		tag = "latest"
	}
	desc, text, err := oras.FetchBytes(ctx, repo, tag, oras.FetchBytesOptions{MaxBytes: maxManifest})
	if err != nil {
		return nil, "", "", fmt.Errorf("%s: %w", ref, err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, "", "", fmt.Errorf("%s: its manifest: %w", ref, err)
	}
	if m.ArtifactType != ArtifactType || len(m.Layers) != 1 || m.Layers[0].MediaType != LayerType {
		return nil, "", "", fmt.Errorf("%s is no bundle but an artefact of type %q", ref, m.ArtifactType)
	}
	layer := m.Layers[0]
	if layer.Size > bundle.MaxSize {
		return nil, "", "", fmt.Errorf("%s: %d bytes are more than a bundle may have", ref, layer.Size)
	}
	data, err = content.FetchAll(ctx, repo, layer)
	if err != nil {
		return nil, "", "", fmt.Errorf("%s: %w", ref, err)
	}
	if _, err := bundle.Parse(data); err != nil {
		return nil, "", "", fmt.Errorf("%s: %w", ref, err)
	}
	// The name is the registry's: no path is taken from there.
	file = path.Base(layer.Annotations[v1.AnnotationTitle])
	if file == "." || file == "/" || file == ".." || !strings.HasSuffix(file, ".o") {
		file = path.Base(repo.Reference.Repository) + ".o"
	}
	return data, file, desc.Digest.String(), nil
}
