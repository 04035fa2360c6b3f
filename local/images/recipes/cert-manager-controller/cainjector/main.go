// cert-manager's injector of authorities, from the upstream's packages, whose own main is not published
// (docs/adr/0047).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	admission "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	aggregation "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	config "github.com/cert-manager/cert-manager/internal/apis/config/cainjector"
	"github.com/cert-manager/cert-manager/internal/kube"
	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/cainjector/configfile"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
	fromfile "github.com/cert-manager/cert-manager/pkg/util/configfile"
)

// The upstream's lease, to which the chart's roles give access.
const lease = "cert-manager-cainjector-leader-election"

const nothingSaid = "apiVersion: cainjector.config.cert-manager.io/v1alpha1\nkind: CAInjectorConfiguration\n"

func main() {
	if err := start(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(arguments []string) error {
	chosen, err := configuration(arguments)
	if err != nil {
		return err
	}
	logf.InitLogs()
	defer logf.FlushLogs()
	if err := logf.ValidateAndApply(&chosen.Logging); err != nil {
		return err
	}
	ctrl.SetLogger(logf.Log)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return run(logf.NewContext(ctx, logf.Log, "cainjector"), chosen)
}

// The file that --config names, or the upstream's defaults, with what the other arguments say on top.
func configuration(arguments []string) (*config.CAInjectorConfiguration, error) {
	read := configfile.New()
	if err := read.DecodeAndConfigure([]byte(nothingSaid)); err != nil {
		return nil, err
	}
	var file string
	if err := flags(read.Config, &file).Parse(arguments); err != nil || file == "" {
		return read.Config, err
	}
	loader, err := fromfile.NewConfigurationFSLoader(nil, file)
	if err != nil {
		return nil, err
	}
	if err := loader.Load(read); err != nil {
		return nil, err
	}
	return read.Config, flags(read.Config, &file).Parse(arguments)
}

// Those that the chart gives, by the upstream's names.
func flags(c *config.CAInjectorConfiguration, file *string) *pflag.FlagSet {
	set := pflag.NewFlagSet("cainjector", pflag.ContinueOnError)
	leading := &c.LeaderElectionConfig
	set.StringVar(file, "config", "", "file with a CAInjectorConfiguration")
	set.StringVar(&leading.Namespace, "leader-election-namespace", leading.Namespace, "where the lease is")
	set.DurationVar(&leading.LeaseDuration, "leader-election-lease-duration", leading.LeaseDuration, "of the lease")
	set.DurationVar(&leading.RenewDeadline, "leader-election-renew-deadline", leading.RenewDeadline, "in which to renew")
	set.DurationVar(&leading.RetryPeriod, "leader-election-retry-period", leading.RetryPeriod, "between two tries")
	set.StringVar(&c.MetricsListenAddress, "metrics-listen-address", c.MetricsListenAddress, "where metrics are, or 0")
	logf.AddFlags(&c.Logging, set)
	return set
}

func run(ctx context.Context, c *config.CAInjectorConfiguration) error {
	cluster, err := kube.BuildClientConfig("", c.KubeConfig)
	if err != nil {
		return err
	}
	known, err := scheme()
	if err != nil {
		return err
	}
	leading := &c.LeaderElectionConfig
	// Its name is the field manager of what it writes: without one every apply is refused.
	manager, err := ctrl.NewManager(util.RestConfigWithUserAgent(cluster, "cainjector"), ctrl.Options{
		Scheme:                        known,
		LeaderElection:                leading.Enabled,
		LeaderElectionID:              lease,
		LeaderElectionNamespace:       leading.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &leading.LeaseDuration,
		RenewDeadline:                 &leading.RenewDeadline,
		RetryPeriod:                   &leading.RetryPeriod,
		Metrics:                       server.Options{BindAddress: c.MetricsListenAddress},
		// Of Secrets only the metadata is kept; the few that hold an authority are read when they are needed.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&core.Secret{}}}},
	})
	if err != nil {
		return err
	}
	wanted := c.EnableInjectableConfig
	err = cainjector.RegisterAllInjectors(ctx, manager, cainjector.SetupOptions{
		Namespace:                    c.Namespace,
		IgnoreNamespaces:             c.IgnoreNamespaces,
		EnableCertificatesDataSource: c.EnableDataSourceConfig.Certificates,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   wanted.MutatingWebhookConfigurations,
			cainjector.ValidatingWebhookConfigurationName: wanted.ValidatingWebhookConfigurations,
			cainjector.APIServiceName:                     wanted.APIServices,
			cainjector.CustomResourceDefinitionName:       wanted.CustomResourceDefinitions,
		},
	})
	if err != nil {
		return err
	}
	return manager.Start(ctx)
}

// What is written to and read from.
func scheme() (*runtime.Scheme, error) {
	made := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, admission.AddToScheme, extensions.AddToScheme, aggregation.AddToScheme, certmanager.AddToScheme,
	} {
		if err := add(made); err != nil {
			return nil, err
		}
	}
	return made, nil
}
